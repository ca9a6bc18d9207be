// `host:` this machine's own metrics, from /proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "schema/type.h"

namespace qw::streams::host {

// What a host source measures. A value; check() names what is out of range.
struct Config {
  int64_t interval_ms = 1000;           // 100 or more
  size_t top_processes = 10;            // by CPU, grouped by command name; 0: none
  int64_t process_idle_ttl_s = 60;      // a command that left the top is still reported this long
  size_t max_processes = 64;            // commands reported at once, the idle ones included
  bool loopback = false;                // count the lo interface too
  std::vector<std::string> disks = {};  // device names; empty: whole disks that are not loop or ram
  std::string proc = "/proc";           // where the kernel's files are; tests give a folder
};

// kBadInput when a number is outside its range.
Result<void> check(const Config& config);

// The columns of every host source: series (string, "cpu.total_percent" or
// "net.rx_bytes_per_s/eth0"), metric, entity (null when the metric is of the whole machine), value
// (double), ts (timestamp).
std::shared_ptr<const schema::Schema> host_schema();

}  // namespace qw::streams::host
