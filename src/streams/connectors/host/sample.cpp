#include "streams/connectors/host/sample.h"

#include <algorithm>
#include <cstdlib>

namespace qw::streams::host {
namespace {

double seconds_between(const Snapshot& before, const Snapshot& now) {
  return static_cast<double>(now.monotonic_ns - before.monotonic_ns) * 1e-9;
}

double percent(double part, double whole) {
  return whole > 0 ? std::clamp(100.0 * part / whole, 0.0, 100.0) : 0.0;
}

void cpu_rows(const Snapshot& before, const Snapshot& now, std::vector<HostRow>& out) {
  if (!before.cpu || !now.cpu) return;
  const auto total = counter_delta(before.cpu->total, now.cpu->total);
  // idle and iowait may go back a little between two looks; then this part is 0.
  const auto busy = counter_delta(before.cpu->busy, now.cpu->busy);
  const auto iowait = counter_delta(before.cpu->iowait, now.cpu->iowait);
  if (!total || *total == 0) return;
  const auto whole = static_cast<double>(*total);
  out.push_back({"cpu.total_percent", "", percent(static_cast<double>(busy.value_or(0)), whole)});
  out.push_back(
      {"cpu.iowait_percent", "", percent(static_cast<double>(iowait.value_or(0)), whole)});
}

void memory_rows(const Snapshot& now, std::vector<HostRow>& out) {
  if (!now.memory) return;
  const Memory& memory = *now.memory;
  const auto total = static_cast<double>(memory.total_bytes);
  const auto available = static_cast<double>(memory.available_bytes);
  out.push_back({"memory.used_percent", "", percent(total - available, total)});
  out.push_back({"memory.available_bytes", "", available});
  const auto swap = static_cast<double>(memory.swap_total_bytes);
  out.push_back(
      {"swap.used_percent", "", percent(swap - static_cast<double>(memory.swap_free_bytes), swap)});
}

void rate_row(const char* metric, const std::string& entity, uint64_t before, uint64_t now,
              double seconds, std::vector<HostRow>& out) {
  if (const auto delta = counter_delta(before, now))
    out.push_back({metric, entity, static_cast<double>(*delta) / seconds});
}

void disk_rows(const Config& config, const Snapshot& before, const Snapshot& now,
               std::vector<HostRow>& out) {
  const double seconds = seconds_between(before, now);
  for (const auto& [name, disk] : now.disks) {
    const bool wanted = config.disks.empty() ? is_whole_disk(name)
                                             : std::find(config.disks.begin(), config.disks.end(),
                                                         name) != config.disks.end();
    const auto old = before.disks.find(name);
    if (!wanted || old == before.disks.end()) continue;
    rate_row("disk.read_bytes_per_s", name, old->second.read_bytes, disk.read_bytes, seconds, out);
    rate_row("disk.write_bytes_per_s", name, old->second.written_bytes, disk.written_bytes, seconds,
             out);
    if (const auto busy = counter_delta(old->second.busy_ms, disk.busy_ms))
      out.push_back(
          {"disk.util_percent", name, percent(static_cast<double>(*busy), seconds * 1e3)});
  }
}

void network_rows(const Config& config, const Snapshot& before, const Snapshot& now,
                  std::vector<HostRow>& out) {
  const double seconds = seconds_between(before, now);
  for (const auto& [name, network] : now.networks) {
    const auto old = before.networks.find(name);
    if (old == before.networks.end() || (name == "lo" && !config.loopback)) continue;
    rate_row("net.rx_bytes_per_s", name, old->second.received_bytes, network.received_bytes,
             seconds, out);
    rate_row("net.tx_bytes_per_s", name, old->second.sent_bytes, network.sent_bytes, seconds, out);
  }
}

}  // namespace

std::vector<HostRow> machine_rows(const Config& config, const Snapshot& before,
                                  const Snapshot& now) {
  std::vector<HostRow> out;
  if (now.monotonic_ns <= before.monotonic_ns) return out;
  cpu_rows(before, now, out);
  if (now.load) out.push_back({"load.1m", "", *now.load});
  memory_rows(now, out);
  disk_rows(config, before, now, out);
  network_rows(config, before, now, out);
  return out;
}

std::map<std::string, TopProcesses::Use> TopProcesses::use_of(const Snapshot& before,
                                                              const Snapshot& now) const {
  std::map<std::string, Use> uses;
  const double seconds = seconds_between(before, now);
  for (const auto& [pid, process] : now.processes) {
    const auto old = before.processes.find(pid);
    const bool same =
        old != before.processes.end() && old->second.start_ticks == process.start_ticks;
    // A process that was not there before did all its work since.
    const uint64_t ticks =
        same ? process.ticks - std::min(process.ticks, old->second.ticks) : process.ticks;
    Use& use = uses[process.command];
    use.cpu_percent += 100.0 * static_cast<double>(ticks) / machine_.ticks_per_s / seconds;
    use.rss_bytes += static_cast<double>(process.rss_pages) * machine_.page_bytes;
  }
  return uses;
}

size_t TopProcesses::report(const Snapshot& before, const Snapshot& now,
                            std::vector<HostRow>& out) {
  if (config_.top_processes == 0 || now.monotonic_ns <= before.monotonic_ns) return 0;
  const auto uses = use_of(before, now);
  std::vector<std::pair<double, std::string>> busy;
  for (const auto& [command, use] : uses)
    if (use.cpu_percent > 0) busy.emplace_back(-use.cpu_percent, command);
  std::sort(busy.begin(), busy.end());
  const int64_t ttl_ns = config_.process_idle_ttl_s * 1'000'000'000;
  std::erase_if(last_in_top_ns_,
                [&](const auto& entry) { return now.monotonic_ns - entry.second > ttl_ns; });
  for (size_t i = 0; i < std::min(busy.size(), config_.top_processes); ++i) {
    const bool known = last_in_top_ns_.contains(busy[i].second);
    if (!known && last_in_top_ns_.size() >= config_.max_processes) continue;
    last_in_top_ns_[busy[i].second] = now.monotonic_ns;
  }
  double others_percent = 0;
  size_t left_out = 0;
  for (const auto& [minus_percent, command] : busy) {
    if (last_in_top_ns_.contains(command)) continue;
    others_percent -= minus_percent;
    ++left_out;
  }
  for (const auto& [command, when] : last_in_top_ns_) {
    const auto use = uses.find(command);
    const Use shown = use == uses.end() ? Use{} : use->second;
    out.push_back({"process.cpu_percent", command, shown.cpu_percent});
    out.push_back({"process.rss_bytes", command, shown.rss_bytes});
  }
  out.push_back({"process.others_cpu_percent", "", others_percent});
  return left_out;
}

Stamp next_stamp(int64_t last_us, int64_t elapsed_us, int64_t wall_us) {
  constexpr int64_t kSecondUs = 1'000'000;
  Stamp stamp{wall_us, false};
  if (last_us == 0) return stamp;
  const int64_t step_us = wall_us - (last_us + elapsed_us);
  stamp.jumped = std::abs(step_us) > kSecondUs;
  const int64_t slow_us = last_us + std::max<int64_t>(elapsed_us / 2, 1);
  if (wall_us < slow_us && slow_us - wall_us < 30 * kSecondUs) stamp.time_us = slow_us;
  return stamp;
}

}  // namespace qw::streams::host
