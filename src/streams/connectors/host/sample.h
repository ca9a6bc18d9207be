// Two looks at a machine -> the rows of one interval. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "streams/connectors/host/config.h"
#include "streams/connectors/host/proc.h"

namespace qw::streams::host {

// What /proc said at one moment.
struct Snapshot {
  int64_t monotonic_ns = 0;
  std::optional<CpuTicks> cpu;
  std::optional<Memory> memory;
  std::optional<double> load;
  std::map<std::string, Disk> disks;
  std::map<std::string, Network> networks;
  std::map<uint32_t, Process> processes;  // by pid
};

// One measurement of the machine or of a part of it. A value.
struct HostRow {
  std::string metric;
  std::string entity;  // empty: the whole machine
  double value = 0;
};

// Fixed facts of the machine.
struct Machine {
  double ticks_per_s = 100;
  double page_bytes = 4096;
};

// Rates and levels of everything but processes.
std::vector<HostRow> machine_rows(const Config& config, const Snapshot& before,
                                  const Snapshot& now);

// Chooses which commands are reported: the top N of the interval, and those that were in the top
// within the idle TTL, at most max_processes. One per source; one thread.
class TopProcesses {
 public:
  TopProcesses(const Config& config, const Machine& machine) : config_(config), machine_(machine) {}
  // Appends process.cpu_percent (of one core) and process.rss_bytes per chosen command, and
  // process.others_cpu_percent for the rest together. Returns how many busy commands were left out.
  size_t report(const Snapshot& before, const Snapshot& now, std::vector<HostRow>& out);

 private:
  struct Use {
    double cpu_percent = 0;
    double rss_bytes = 0;
  };
  std::map<std::string, Use> use_of(const Snapshot& before, const Snapshot& now) const;

  Config config_;
  Machine machine_;
  std::map<std::string, int64_t> last_in_top_ns_;  // the commands reported
};

// The time written on the next sample. Follows the wall clock, but a clock set back by less than
// 30 s is caught up with slowly, so that time never goes back for it; a larger step is taken at
// once.
struct Stamp {
  int64_t time_us = 0;
  bool jumped = false;  // the clock was set by more than a second
};
Stamp next_stamp(int64_t last_us, int64_t elapsed_us, int64_t wall_us);

}  // namespace qw::streams::host
