// The harmless loads a demo incident is made of. They run in a process of their own (incident.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/result.h"

namespace qw::app {

enum class IncidentKind : uint8_t { kCpu, kMemory, kDisk };
std::string_view name_of(IncidentKind kind);  // "cpu", "memory", "disk"
// kBadInput with the list of known kinds.
Result<IncidentKind> parse_incident_kind(std::string_view text);

constexpr int kIncidentSecondsMin = 5;  // of one that is watched (incident.h)
constexpr int kLoadSecondsMin = 1;      // of a load by itself
constexpr int kIncidentSecondsMax = 120;
constexpr int kIncidentThreadsMax = 64;
// However much is asked for, never more than this share of what is free.
constexpr double kIncidentMemoryShare = 0.3;
constexpr double kIncidentDiskShare = 0.05;

// What to do, and the most it may take. A value.
struct IncidentLoad {
  IncidentKind kind = IncidentKind::kCpu;
  int seconds = 20;
  int threads = 0;                           // cpu; 0: one per processor
  uint64_t memory_bytes = 4ull << 30;        // memory: at most
  uint64_t disk_bytes = 256ull << 20;        // disk: size of the file, written again and again ...
  uint64_t disk_bytes_per_s = 100ull << 20;  // ... at most this fast
  std::string folder = ".";                  // disk: where; the file has no name, so none is left
  int parent_pid = 0;                        // the load ends with this process; 0: it stands alone
};
// kBadInput naming what is out of range.
Result<void> check(const IncidentLoad& load);

// Runs the load in this process until its seconds are over or SIGTERM or SIGINT comes, and gives
// back all it took. Whole process, once: it lowers its priority, offers itself first to the
// out-of-memory killer, and sets an alarm that ends it should anything hang. kIo, kExhausted when
// the machine has too little free for the load.
Result<void> run_incident_load(const IncidentLoad& load, const Clock& clock);

// What a memory load takes when this much is free: at most what it asks for and its share.
uint64_t memory_load_bytes(const IncidentLoad& load, uint64_t free_bytes);

// "MemAvailable" of /proc/meminfo, no more than the control group allows.
Result<uint64_t> available_memory_bytes();

}  // namespace qw::app
