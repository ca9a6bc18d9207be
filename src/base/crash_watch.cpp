#include "base/crash_watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/fail_point.h"
#include "base/files.h"
#include "base/full_disk.h"

namespace qw {
namespace {

constexpr std::array<int, 5> kFatal = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t kMostBytes = 1u << 20;

// A trace: the record's fingerprint, and the same inverted, so that a torn one is noticed. The
// second word's lowest bit tells a kill from a crash.
using Trace = std::array<uint64_t, 2>;
constexpr uint64_t kKillBit = 1;

// What one thread works on, as another process can read it after a kill. Each on a cache line of
// its own.
struct alignas(64) Slot {
  std::atomic<uint64_t> print;  // of the record in work; 0: none
  std::atomic<uint64_t> marks;  // set or lifted so far: a record that stays is told from equal ones
  std::atomic<uint64_t> stuck;  // the print, once it is in work for long
};
// More threads than that work unseen.
constexpr size_t kSlots = 64;
// The whole file.
struct Work {
  std::array<Slot, kSlots> slots;
  // The machine's count of kills for want of memory when the process began, and one; 0: unknown.
  std::atomic<uint64_t> memory_kills;
};
std::atomic<Work*> mapped_work{nullptr};
std::atomic<size_t> slots_taken{0};
thread_local size_t own_slot = kSlots;

Slot* slot_of_thread() {
  Work* all = mapped_work.load(std::memory_order_acquire);
  if (all == nullptr) return nullptr;
  if (own_slot == kSlots) own_slot = slots_taken.fetch_add(1);
  return own_slot < kSlots ? &all->slots[own_slot] : nullptr;
}

// Returns what was there.
uint64_t put_into_slot(uint64_t print) {
  Slot* slot = slot_of_thread();
  if (slot == nullptr) return 0;
  const uint64_t before = slot->print.load(std::memory_order_relaxed);
  slot->print.store(print, std::memory_order_relaxed);
  slot->marks.store(slot->marks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return before;
}

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
  std::map<uint64_t, size_t> crashes, kills;
  for (; bytes.size() >= sizeof(Trace); bytes.remove_prefix(sizeof(Trace))) {
    Trace trace{};
    std::memcpy(trace.data(), bytes.data(), sizeof trace);
    if ((trace[0] | kKillBit) != (~trace[1] | kKillBit)) continue;
    const bool kill = trace[0] != ~trace[1];
    ++(kill ? history.kills : history.crashes);
    const size_t times = ++(kill ? kills : crashes)[trace[0]];
    if (times >= (kill ? kKillsToQuarantine : kCrashesToQuarantine)) quarantined.insert(trace[0]);
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

void trace_work_in_hand() noexcept {
  const std::string_view record = std::exchange(in_work, {});
  if (record.empty() || trace_file < 0) return;
  const uint64_t print = checksum64(record);
  const Trace trace = {print, ~print ^ kKillBit};
  [[maybe_unused]] const auto written = ::write(trace_file, trace.data(), sizeof trace);
}

WorkMark::WorkMark(std::string_view stage, std::string_view record) noexcept
    : before_(std::exchange(in_work, record)), exceptions_(std::uncaught_exceptions()) {
  if (mapped_work.load(std::memory_order_relaxed) != nullptr)
    print_before_ = put_into_slot(checksum64(record));
  fail_on_record(stage, record);
}

WorkMark::~WorkMark() {
  const bool unwinds = std::uncaught_exceptions() > exceptions_;
  if (unwinds) trace_work_in_hand();
  in_work = unwinds ? std::string_view() : before_;  // the innermost alone is traced
  if (mapped_work.load(std::memory_order_relaxed) != nullptr) put_into_slot(print_before_);
}

namespace {

Error cannot_write(const std::string& file, int number = errno) {
  if (means_full_disk(number))
    return {ErrorCode::kExhausted, fmt::format("cannot write it: {}", std::strerror(number)), file,
            "free some disk space, or raise the limit (quota, `ulimit -f`)"};
  return {ErrorCode::kIo, fmt::format("cannot write it: {}", std::strerror(number)), file,
          "give the process the right to write into its data folder"};
}

// As Work::memory_kills.
uint64_t memory_kills(const std::string& vmstat) {
  constexpr std::string_view kName = "\noom_kill ";
  const auto text = read_file(vmstat, kMostBytes);
  const size_t at = text.ok() ? text->find(kName) : std::string::npos;
  if (at == std::string::npos) return 0;
  return std::strtoull(text->c_str() + at + kName.size(), nullptr, 10) + 1;
}

// What the process before left in its slots: records it was killed in. The kernel's count begins
// anew with the machine: a lower one tells nothing.
Result<void> collect_kills(Work& left, const std::string& traces, uint64_t memory_kills_now) {
  const bool memory_ended = left.memory_kills > 0 && memory_kills_now > left.memory_kills;
  left.memory_kills = memory_kills_now;
  std::string kills;
  for (Slot& slot : left.slots) {
    const uint64_t print = slot.print;
    if (print != 0 && (slot.stuck == print || memory_ended)) {
      const Trace trace = {print, ~print ^ kKillBit};
      kills.append(reinterpret_cast<const char*>(trace.data()), sizeof trace);
    }
    slot.print = slot.marks = slot.stuck = 0;
  }
  if (kills.empty()) return {};
  const int file = ::open(traces.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool written =
      file >= 0 && ::write(file, kills.data(), kills.size()) == static_cast<ssize_t>(kills.size());
  if (file >= 0) ::close(file);
  if (!written) return cannot_write(traces);
  return {};
}

// Twice the same mark: it has been in work from one look to the next.
void look_for_stuck(const std::stop_token& stop) {
  std::array<uint64_t, kSlots> seen{};
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, stop, std::chrono::microseconds(kStuckUs), [] { return false; })) {
    if (stop.stop_requested()) return;
    for (size_t i = 0; i < kSlots; ++i) {
      Slot& slot = mapped_work.load()->slots[i];
      const uint64_t print = slot.print, marks = slot.marks;
      slot.stuck = print != 0 && marks == seen[i] ? print : 0;
      seen[i] = marks;
    }
  }
}

Result<void> watch_signals(const std::string& traces) {
  trace_file = ::open(traces.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (trace_file < 0) return cannot_write(traces);
  struct sigaction action {};
  action.sa_handler = on_fatal_signal;
  for (size_t i = 0; i < kFatal.size(); ++i)
    if (::sigaction(kFatal[i], &action, &before_us[i]) != 0) return cannot_write(traces);
  return {};
}

}  // namespace

Result<std::unique_ptr<CrashWatch>> CrashWatch::start(const std::string& folder,
                                                      const std::string& vmstat) {
  const std::string work = folder + "/in_work", traces = folder + "/crashes";
  std::unique_ptr<CrashWatch> watch(new CrashWatch());
  watch->work_file_ = ::open(work.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (watch->work_file_ < 0) return cannot_write(work);
  if (::flock(watch->work_file_, LOCK_EX | LOCK_NB) != 0)
    return Error{ErrorCode::kConflict, "another process writes it", work, ""};
  if (::ftruncate(watch->work_file_, sizeof(Work)) != 0) return cannot_write(work);
  // A page without a block behind it would end the process when it is touched on a full disk.
  if (const int failed = ::posix_fallocate(watch->work_file_, 0, sizeof(Work)); failed != 0)
    return cannot_write(work, failed);
  void* place =
      ::mmap(nullptr, sizeof(Work), PROT_READ | PROT_WRITE, MAP_SHARED, watch->work_file_, 0);
  if (place == MAP_FAILED) return cannot_write(work);
  auto* mapped = static_cast<Work*>(place);
  const auto collected = collect_kills(*mapped, traces, memory_kills(vmstat));
  // From here on the destructor takes it back.
  mapped_work.store(mapped, std::memory_order_release);
  QW_TRY(collected);
  if (const auto bytes = read_file(traces, kMostBytes); bytes.ok())
    watch->history_ = read_traces(*bytes);
  else if (bytes.error().code != ErrorCode::kNotFound)
    return bytes.error();
  QW_TRY(watch_signals(traces));
  watch->thread_ = std::jthread(look_for_stuck);
  return watch;
}

CrashWatch::~CrashWatch() {
  thread_ = {};
  if (Work* mapped = mapped_work.exchange(nullptr)) {
    for (Slot& slot : mapped->slots) slot.print = slot.marks = slot.stuck = 0;
    ::munmap(mapped, sizeof(Work));
  }
  if (work_file_ >= 0) ::close(work_file_);
}

}  // namespace qw
