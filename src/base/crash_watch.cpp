#include "base/crash_watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/fail_point.h"
#include "base/files.h"

namespace qw {
namespace {

constexpr std::array<int, 5> kFatal = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t kMostBytes = 1u << 20;

// A trace: the record's fingerprint, and the same inverted, so that a torn one is noticed.
using Trace = std::array<uint64_t, 2>;

thread_local constinit std::string_view in_work;
std::array<struct sigaction, kFatal.size()> before_us;
int trace_file = -1;
std::set<uint64_t> quarantined;  // written once, before threads start

// Only what may be done inside a signal: computing, and one write.
void on_fatal_signal(int number) {
  const std::string_view record = std::exchange(in_work, {});
  if (!record.empty()) {
    const uint64_t print = checksum64(record);
    const Trace trace = {print, ~print};
    [[maybe_unused]] const auto written = ::write(trace_file, trace.data(), sizeof trace);
  }
  for (size_t i = 0; i < kFatal.size(); ++i)
    if (kFatal[i] == number) ::sigaction(number, &before_us[i], nullptr);
  ::raise(number);  // delivered when this returns: the process ends as it would have
}

CrashHistory read_traces(std::string_view bytes) {
  CrashHistory history;
  std::map<uint64_t, size_t> crashes;
  for (; bytes.size() >= sizeof(Trace); bytes.remove_prefix(sizeof(Trace))) {
    Trace trace{};
    std::memcpy(trace.data(), bytes.data(), sizeof trace);
    if (trace[0] != ~trace[1]) continue;
    ++history.crashes;
    if (++crashes[trace[0]] >= kCrashesToQuarantine) quarantined.insert(trace[0]);
  }
  history.quarantined = quarantined.size();
  internal::any_quarantined = !quarantined.empty();
  return history;
}

}  // namespace

namespace internal {
std::atomic<bool> any_quarantined{false};
bool is_quarantined(std::string_view record) { return quarantined.contains(checksum64(record)); }
}  // namespace internal

WorkMark::WorkMark(std::string_view stage, std::string_view record) noexcept
    : before_(std::exchange(in_work, record)) {
  fail_on_record(stage, record);
}

WorkMark::~WorkMark() { in_work = before_; }

Result<CrashHistory> watch_crashes(const std::string& file) {
  const auto failed = [&] {
    return Error{ErrorCode::kIo, fmt::format("cannot write it: {}", std::strerror(errno)), file,
                 "give the process the right to write into its data folder"};
  };
  CrashHistory history;
  if (const auto bytes = read_file(file, kMostBytes); bytes.ok())
    history = read_traces(*bytes);
  else if (bytes.error().code != ErrorCode::kNotFound)
    return bytes.error();
  trace_file = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (trace_file < 0) return failed();
  struct sigaction action {};
  action.sa_handler = on_fatal_signal;
  for (size_t i = 0; i < kFatal.size(); ++i)
    if (::sigaction(kFatal[i], &action, &before_us[i]) != 0) return failed();
  return history;
}

}  // namespace qw
