#include "streams/connectors/host/proc.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace qw::streams::host {
namespace {

// Takes the words of a line one by one.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const size_t begin = rest_.find_first_not_of(" \t");
    if (begin == rest_.npos) return rest_ = {};
    const size_t end = std::min(rest_.find_first_of(" \t", begin), rest_.size());
    const auto word = rest_.substr(begin, end - begin);
    rest_.remove_prefix(end);
    return word;
  }
  std::optional<uint64_t> number() {
    const auto word = next();
    uint64_t value = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || parsed.ec != std::errc{} || parsed.ptr != word.data() + word.size())
      return std::nullopt;
    return value;
  }
  void skip(int count) {
    for (int i = 0; i < count; ++i) next();
  }

 private:
  std::string_view rest_;
};

template <class Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// "nvme0n1p2", "mmcblk0p1": a number, 'p', a number.
bool is_p_partition(std::string_view name) {
  const size_t p = name.rfind('p');
  return p != name.npos && p > 0 && name[p - 1] >= '0' && name[p - 1] <= '9' &&
         all_digits(name.substr(p + 1));
}

std::string clean(std::string_view command) {
  std::string out(command);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  return out;
}

}  // namespace

std::optional<CpuTicks> parse_stat(std::string_view text) {
  std::optional<CpuTicks> found;
  each_line(text, [&](std::string_view line) {
    if (found || !line.starts_with("cpu ")) return;
    Words words(line);
    words.next();
    // user nice system idle iowait irq softirq steal; guest is inside user already.
    std::array<uint64_t, 8> ticks{};
    for (size_t i = 0; i < ticks.size(); ++i) {
      const auto value = words.number();
      if (!value && i < 4) return;
      ticks[i] = value.value_or(0);
    }
    CpuTicks cpu;
    for (const uint64_t part : ticks) cpu.total += part;
    cpu.iowait = ticks[4];
    cpu.busy = cpu.total - ticks[3] - ticks[4];
    found = cpu;
  });
  return found;
}

std::optional<Memory> parse_meminfo(std::string_view text) {
  std::map<std::string_view, uint64_t> bytes;
  each_line(text, [&](std::string_view line) {
    Words words(line);
    const auto name = words.next();
    const auto value = words.number();
    if (value && *value <= UINT64_MAX / 1024) bytes[name] = *value * 1024;
  });
  if (bytes["MemTotal:"] == 0) return std::nullopt;
  Memory memory;
  memory.total_bytes = bytes["MemTotal:"];
  memory.available_bytes = bytes.contains("MemAvailable:")
                               ? bytes["MemAvailable:"]
                               : bytes["MemFree:"] + bytes["Buffers:"] + bytes["Cached:"];
  memory.available_bytes = std::min(memory.available_bytes, memory.total_bytes);
  memory.swap_total_bytes = bytes["SwapTotal:"];
  memory.swap_free_bytes = std::min(bytes["SwapFree:"], memory.swap_total_bytes);
  return memory;
}

std::optional<double> parse_loadavg(std::string_view text) {
  double load = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), load);
  if (parsed.ec != std::errc{} || !(load >= 0 && load < 1e9)) return std::nullopt;
  return load;
}

std::map<std::string, Disk> parse_diskstats(std::string_view text) {
  std::map<std::string, Disk> disks;
  each_line(text, [&](std::string_view line) {
    Words words(line);
    words.skip(2);
    const auto name = words.next();
    words.skip(2);
    const auto read_sectors = words.number();
    words.skip(3);
    const auto written_sectors = words.number();
    words.skip(2);
    const auto busy_ms = words.number();
    if (name.empty() || !read_sectors || !written_sectors || !busy_ms) return;
    disks[std::string(name)] = Disk{*read_sectors * 512, *written_sectors * 512, *busy_ms};
  });
  return disks;
}

bool is_whole_disk(std::string_view name) {
  for (const char* other : {"loop", "ram", "zram", "sr", "fd", "dm-", "md"})
    if (name.starts_with(other)) return false;
  if (name.starts_with("nvme") || name.starts_with("mmcblk")) return !is_p_partition(name);
  // sda1, vdb2, xvda1
  return !name.empty() && (name.back() < '0' || name.back() > '9');
}

std::map<std::string, Network> parse_net_dev(std::string_view text) {
  std::map<std::string, Network> interfaces;
  each_line(text, [&](std::string_view line) {
    const size_t colon = line.rfind(':');  // an alias holds one itself: "eth0:1:"
    if (colon == line.npos) return;
    const auto name = Words(line.substr(0, colon)).next();
    Words words(line.substr(colon + 1));
    const auto received = words.number();
    words.skip(7);
    const auto sent = words.number();
    if (!name.empty() && received && sent) interfaces[std::string(name)] = {*received, *sent};
  });
  return interfaces;
}

std::optional<Process> parse_pid_stat(std::string_view text) {
  constexpr uint64_t kKernelThread = 0x00200000;
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open) return std::nullopt;
  Process process;
  process.command = clean(text.substr(open + 1, close - open - 1));
  std::string_view rest = text.substr(close + 1);
  rest = rest.substr(0, rest.find('\n'));
  Words words(rest);
  words.skip(6);  // state ppid pgrp session tty tpgid
  const auto flags = words.number();
  words.skip(4);  // faults
  const auto user = words.number(), system = words.number();
  words.skip(6);  // children's times, priority, nice, threads, itrealvalue
  const auto start = words.number();
  words.skip(1);  // vsize
  const auto rss = words.number();
  if (!flags || !user || !system || !start || !rss) return std::nullopt;
  if ((*flags & kKernelThread) != 0) process.command = "kernel";
  process.ticks = *user + *system;
  process.start_ticks = *start;
  process.rss_pages = *rss;
  return process;
}

std::optional<uint64_t> counter_delta(uint64_t before, uint64_t now) {
  if (now >= before) return now - before;
  constexpr uint64_t kWrap = uint64_t{1} << 32;
  if (before >= kWrap) return std::nullopt;
  const uint64_t wrapped = now + kWrap - before;
  if (wrapped < kWrap / 2) return wrapped;
  return std::nullopt;
}

}  // namespace qw::streams::host
