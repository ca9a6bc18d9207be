#include "lanes.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/env.h"
#include "store/commit/committer.h"

namespace qw::bench {
namespace {

constexpr int kWriters = 8;
constexpr int64_t kRecordsPerSecond = 1'000;
constexpr int64_t kEventsPerSecond = 50'000;
constexpr int64_t kEventsAtOnce = 50;  // applied under one hold

// Appends for so long and returns what each append took.
std::vector<int64_t> write(store::Lane& lane, PartitionId partition, int seconds) {
  const std::string record(1024, 'r');
  std::vector<int64_t> took_ns;
  const int64_t began_ns = real_clock().monotonic_ns();
  for (int64_t number = 1; number <= seconds * kRecordsPerSecond; ++number) {
    const int64_t due_ns = began_ns + number * 1'000'000'000 / kRecordsPerSecond;
    while (real_clock().monotonic_ns() < due_ns)
      real_clock().sleep_us(std::max<int64_t>((due_ns - real_clock().monotonic_ns()) / 1000, 1));
    const int64_t before_ns = real_clock().monotonic_ns();
    lane.hold().open().txn.append(store::Log::kDecisions, partition,
                                  Seq{static_cast<uint64_t>(number)}, record);
    took_ns.push_back(real_clock().monotonic_ns() - before_ns);
  }
  return took_ns;
}

// The pipeline's share. Returns how many events it wrote.
int64_t write_events(store::Lane& lane, const std::stop_token& stop) {
  const std::string record(200, 'e');
  const int64_t began_ns = real_clock().monotonic_ns();
  int64_t written = 0;
  while (!stop.stop_requested()) {
    const int64_t due = (real_clock().monotonic_ns() - began_ns) * kEventsPerSecond / 1'000'000'000;
    if (due < written + kEventsAtOnce) {
      real_clock().sleep_us(200);
      continue;
    }
    lane.give_way();
    auto held = lane.hold();
    for (int64_t row = 0; row < kEventsAtOnce; ++row)
      held.open().txn.append(store::Log::kEvents, PartitionId{1},
                             Seq{static_cast<uint64_t>(++written)}, record);
    held.open().need(store::Durability::kMachine);
  }
  return written;
}

}  // namespace

Result<void> measure_lanes(Report& report, int seconds) {
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("qw_bench_lanes_{}", real_clock().monotonic_ns());
  store::StoreOptions options;
  options.folder = folder.string();
  MetricRegistry metrics;
  std::vector<int64_t> all_ns;
  {
    QW_ASSIGN(const auto store, store::Store::open(options, metrics));
    store::Committer committer(*store, real_clock(), metrics, {});
    QW_TRY(committer.open());
    store::Lane& events = committer.lane("events");
    std::vector<store::Lane*> lanes;
    for (int writer = 0; writer < kWriters; ++writer)
      lanes.push_back(&committer.lane(fmt::format("writer {}", writer)));
    committer.start();
    std::vector<std::vector<int64_t>> took_ns(kWriters);
    int64_t written = 0;
    std::jthread pipeline(
        [&](const std::stop_token& stop) { written = write_events(events, stop); });
    {
      std::vector<std::jthread> writers;
      for (size_t writer = 0; writer < kWriters; ++writer)
        writers.emplace_back([&, writer] {
          const PartitionId partition{static_cast<uint32_t>(writer + 10)};
          took_ns[writer] = write(*lanes[writer], partition, seconds);
        });
    }
    pipeline.request_stop();
    pipeline.join();
    if (!committer.stop())
      return Error{ErrorCode::kIo, "not everything was committed", options.folder, ""};
    for (const auto& of_one : took_ns) all_ns.insert(all_ns.end(), of_one.begin(), of_one.end());
    Measurement rate;
    rate.name = "lanes.events_per_s";
    rate.value = static_cast<double>(written) / seconds;
    rate.unit = "events/s";
    rate.higher_is_better = true;
    rate.target = static_cast<double>(kEventsPerSecond) * 0.98;
    rate.note = fmt::format("{} commits", committer.status().commits);
    report.add(std::move(rate));
  }
  std::filesystem::remove_all(folder);
  std::sort(all_ns.begin(), all_ns.end());
  for (const auto& [name, share] : {std::pair("p50", 0.5), {"p99", 0.99}, {"p999", 0.999}}) {
    Measurement row;
    row.name = fmt::format("lanes.append_{}_us", name);
    row.value = static_cast<double>(
                    all_ns[static_cast<size_t>(share * static_cast<double>(all_ns.size() - 1))]) *
                1e-3;
    row.unit = "us";
    if (share == 0.99) row.target = 20;
    row.note = fmt::format("{} appends of 1 KB by {} threads", all_ns.size(), kWriters);
    report.add(std::move(row));
  }
  return {};
}

}  // namespace qw::bench
