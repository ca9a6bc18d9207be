// bench_spool [--json] [--seconds N] [--rate N]: what it costs until kill -9 cannot take a record
// any more, by way: the spool (a mapped ring), a write to a preallocated file, a commit of one
// record. Records of 256 bytes, 1 KB and 4 KB at a fixed rate; beside them a committer drains the
// spool with an fdatasync every 5 ms, as in an application. docs/adr/0005-spool.md reads the
// result.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <thread>

#include "arguments.h"
#include "base/bytes.h"
#include "base/env.h"
#include "report.h"
#include "store/commit/spool.h"

namespace qw::bench {
namespace {

using store::Durability;
using store::Log;

struct Options {
  int seconds = 5;
  int rate = 20'000;
  bool json = false;
};

int64_t thread_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

// Calls `put` at the rate and measures each call.
void measure(Report& report, const Options& options, const std::string& name, size_t bytes,
             const std::function<void(uint64_t seq, const std::string& record)>& put,
             std::optional<double> target_ns) {
  const std::string record(bytes, 'r');
  const auto count = static_cast<uint64_t>(options.seconds) * static_cast<uint64_t>(options.rate);
  std::vector<int64_t> took_ns;
  took_ns.reserve(count);
  const int64_t began_ns = real_clock().monotonic_ns();
  int64_t cpu_ns = 0;
  for (uint64_t seq = 1; seq <= count; ++seq) {
    const int64_t due_ns = began_ns + static_cast<int64_t>(seq) * 1'000'000'000 / options.rate;
    while (real_clock().monotonic_ns() < due_ns) real_clock().sleep_us(20);
    const int64_t cpu_before_ns = thread_cpu_ns();
    const int64_t before_ns = real_clock().monotonic_ns();
    put(seq, record);
    took_ns.push_back(real_clock().monotonic_ns() - before_ns);
    cpu_ns += thread_cpu_ns() - cpu_before_ns;
  }
  std::sort(took_ns.begin(), took_ns.end());
  const std::pair<const char*, double> quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
  for (const auto& [quantile, share] : quantiles) {
    Measurement row;
    row.name = fmt::format("spool.{}_{}b_{}_ns", name, bytes, quantile);
    row.value = static_cast<double>(
        took_ns[static_cast<size_t>(share * static_cast<double>(took_ns.size() - 1))]);
    row.unit = "ns";
    if (share == 0.5) row.target = target_ns;
    if (share == 0.5)
      row.note = fmt::format("{} records; {:.0f} ns of CPU each", count,
                             static_cast<double>(cpu_ns) / static_cast<double>(count));
    report.add(std::move(row));
  }
}

// A preallocated file of the spool's size, written in turns from its start.
class WrittenFile {
 public:
  explicit WrittenFile(const std::string& path)
      : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    QW_ASSERT(file_ >= 0 && ::posix_fallocate(file_, 0, store::kSpoolBytes) == 0);
  }
  ~WrittenFile() { ::close(file_); }
  void put(uint64_t seq, const std::string& record) {
    frame_.clear();
    ByteWriter frame(frame_);
    frame.u64(record.size());
    frame.u64(seq);
    frame_ += record;
    frame.u64(checksum64(frame_));
    if (at_ + frame_.size() > store::kSpoolBytes) at_ = 0;
    const auto written = ::pwrite(file_, frame_.data(), frame_.size(), static_cast<off_t>(at_));
    QW_ASSERT(written == static_cast<ssize_t>(frame_.size()));
    at_ += frame_.size();
  }

 private:
  int file_;
  size_t at_ = 0;
  std::string frame_;
};

Result<void> run(const Options& options, Report& report) {
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("qw_bench_spool_{}", real_clock().monotonic_ns());
  store::StoreOptions store_options;
  store_options.folder = folder.string() + "/data";
  MetricRegistry metrics;
  QW_ASSIGN(const auto store, store::Store::open(store_options, metrics));
  uint32_t lane = 0;
  for (const size_t bytes : {256, 1024, 4096}) {
    QW_ASSIGN(const auto spool, store::Spool::create(folder.string() + "/spool", ++lane));
    {
      std::jthread committer([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          real_clock().sleep_us(5'000);
          store::Txn txn;
          if (!spool->drain(txn)) continue;
          QW_ASSERT(store->commit(txn, Durability::kMachine).ok());
          spool->release();
        }
      });
      const PartitionId partition{lane};
      measure(
          report, options, "mapped", bytes,
          [&](uint64_t seq, const std::string& record) {
            // Full while the committer waits for the disk or the processor: part of the answer.
            while (!spool->append(Log::kDecisions, partition, Seq{seq}, record).ok())
              real_clock().sleep_us(100);
          },
          bytes == 1024 ? std::optional<double>(1000) : std::nullopt);
      WrittenFile file(folder.string() + fmt::format("/written{}", bytes));
      measure(
          report, options, "written", bytes,
          [&](uint64_t seq, const std::string& record) { file.put(seq, record); }, std::nullopt);
    }
    store::Txn txn;
    if (spool->drain(txn)) QW_TRY(store->commit(txn, Durability::kProcess));
    spool->release();
    measure(
        report, options, "committed", bytes,
        [&](uint64_t seq, const std::string& record) {
          store::Txn one;
          one.append(Log::kDecisions, PartitionId{lane + 100}, Seq{seq}, record);
          QW_ASSERT(store->commit(one, Durability::kProcess).ok());
        },
        std::nullopt);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return {};
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  qw::bench::Options options;
  qw::bench::Arguments arguments("bench_spool");
  arguments.flag("--json", options.json);
  arguments.value("--seconds", "N", options.seconds);
  arguments.value("--rate", "N", options.rate);
  if (!arguments.read(count, words)) return 2;
  qw::bench::Report report("spool");
  if (const auto done = qw::bench::run(options, report); !done.ok()) {
    std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
    return 1;
  }
  report.print(options.json);
  return 0;
}
