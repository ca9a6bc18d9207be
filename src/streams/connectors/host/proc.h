// The kernel's /proc files as numbers. Pure functions on text; what is odd is left out, not
// guessed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qw::streams::host {

// Clock ticks since the start, of all processors. A value.
struct CpuTicks {
  uint64_t busy = 0, iowait = 0, total = 0;
};
// The "cpu " line of /proc/stat.
std::optional<CpuTicks> parse_stat(std::string_view text);

// A value.
struct Memory {
  uint64_t total_bytes = 0, available_bytes = 0, swap_total_bytes = 0, swap_free_bytes = 0;
};
// /proc/meminfo; kernels before 3.14 have no MemAvailable: free + buffers + cached then.
std::optional<Memory> parse_meminfo(std::string_view text);

// The one-minute load of /proc/loadavg.
std::optional<double> parse_loadavg(std::string_view text);

// Counters of one device since the start. A value.
struct Disk {
  uint64_t read_bytes = 0, written_bytes = 0, busy_ms = 0;
};
// /proc/diskstats by device name.
std::map<std::string, Disk> parse_diskstats(std::string_view text);
// Not a partition, loop, ram, optical or device-mapper device (those repeat a disk's work).
bool is_whole_disk(std::string_view name);

// Counters of one interface since it came up. A value.
struct Network {
  uint64_t received_bytes = 0, sent_bytes = 0;
};
// /proc/net/dev by interface.
std::map<std::string, Network> parse_net_dev(std::string_view text);

// One process at one moment. A value.
struct Process {
  std::string command;  // "kernel" for kernel threads; not UTF-8 or control characters become '?'
  uint64_t ticks = 0;   // user + system
  uint64_t rss_pages = 0;
  uint64_t start_ticks = 0;  // tells two processes of one pid apart
};
// /proc/PID/stat; the command may hold spaces and parentheses.
std::optional<Process> parse_pid_stat(std::string_view text);

// How far a counter came. A counter that went back either wrapped at 32 bits (then the wrapped
// distance is below half of that) or began anew: nothing.
std::optional<uint64_t> counter_delta(uint64_t before, uint64_t now);

}  // namespace qw::streams::host
