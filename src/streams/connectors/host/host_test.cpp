// Aim: /proc becomes the right numbers whatever the kernel writes, and the schedule neither drifts
// nor piles up. Method: fixture texts with answers worked out by hand; a folder that plays /proc
// under a clock that the test moves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "streams/connectors/host/sample.h"
#include "streams/connectors/host/source.h"

namespace qw::streams::host {
namespace {

namespace fs = std::filesystem;

TEST(Proc, ReadsCpuTicks) {
  const auto cpu = parse_stat("cpu  100 5 50 800 20 1 2 3 7 0\ncpu0 1 1 1 1\nintr 5\n");
  ASSERT_TRUE(cpu);
  EXPECT_EQ(cpu->total, 981u);
  EXPECT_EQ(cpu->iowait, 20u);
  EXPECT_EQ(cpu->busy, 161u);
  EXPECT_EQ(parse_stat("cpu  1 2 3 4\n")->total, 10u);  // an old kernel
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat("cpu  1 2\n"));
  EXPECT_FALSE(parse_stat("cpu0 1 2 3 4\n"));
}

TEST(Proc, ReadsMemory) {
  const auto memory = parse_meminfo(
      "MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable:    400 kB\nSwapTotal: 10 kB\n"
      "SwapFree: 4 kB\nHugePages_Total: 0\nodd line\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->available_bytes, 400u * 1024);
  EXPECT_EQ(memory->swap_free_bytes, 4u * 1024);
  EXPECT_EQ(parse_meminfo("MemTotal: 1000 kB\nMemFree: 1 kB\nBuffers: 2 kB\nCached: 3 kB")
                ->available_bytes,
            6u * 1024);
  EXPECT_FALSE(parse_meminfo("MemFree: 1 kB\n"));
}

TEST(Proc, ReadsLoad) {
  EXPECT_DOUBLE_EQ(*parse_loadavg("0.52 0.58 0.59 1/467 1234\n"), 0.52);
  EXPECT_FALSE(parse_loadavg("x"));
  EXPECT_FALSE(parse_loadavg("nan 1 1"));
}

TEST(Proc, ReadsDisks) {
  const auto disks = parse_diskstats(
      "   8       0 sda 10 20 30 40 50 60 70 80 0 90 100 0 0 0 0\n"
      "   8       1 sda1 1 1 1 1 1 1 1 1 0 1 1\nbroken\n 259 0 nvme0n1 1 1 2 1 1 1 4 1 0 8 1\n");
  ASSERT_EQ(disks.size(), 3u);
  EXPECT_EQ(disks.at("sda").read_bytes, 30u * 512);
  EXPECT_EQ(disks.at("sda").written_bytes, 70u * 512);
  EXPECT_EQ(disks.at("sda").busy_ms, 90u);
  for (const char* whole : {"sda", "vdb", "xvda", "nvme0n1", "mmcblk0"})
    EXPECT_TRUE(is_whole_disk(whole)) << whole;
  for (const char* other : {"sda1", "vdb12", "nvme0n1p1", "mmcblk0p2", "loop3", "ram0", "dm-0",
                            "sr0", "zram0", "md127", ""})
    EXPECT_FALSE(is_whole_disk(other)) << other;
}

TEST(Proc, ReadsInterfaces) {
  const auto interfaces = parse_net_dev(
      "Inter-|   Receive          |  Transmit\n face |bytes    packets|bytes\n"
      "    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
      "eth0:12345678 2 3 4 5 6 7 8 999 10 11 12 13 14 15 16\neth0:1: 5 0 0 0 0 0 0 0 6 0\n");
  ASSERT_EQ(interfaces.size(), 3u);
  EXPECT_EQ(interfaces.at("eth0").received_bytes, 12345678u);
  EXPECT_EQ(interfaces.at("eth0").sent_bytes, 999u);
  EXPECT_EQ(interfaces.at("eth0:1").sent_bytes, 6u);
}

TEST(Proc, ReadsProcesses) {
  const std::string tail =
      " S 1 1 1 0 -1 4194560 1 2 3 4 70 30 0 0 20 0 1 0 5555 1000 250 18446744073709551615\n";
  const auto process = parse_pid_stat("12 (a) b (c))" + tail);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->command, "a) b (c)");
  EXPECT_EQ(process->ticks, 100u);
  EXPECT_EQ(process->start_ticks, 5555u);
  EXPECT_EQ(process->rss_pages, 250u);
  EXPECT_EQ(parse_pid_stat("12 (\x01\xff)" + tail)->command, "??");
  EXPECT_EQ(parse_pid_stat("2 (kworker/0:1) I 2 0 0 0 -1 69238880 0 0 0 0 5 6 0 0 20 0 1 0 7 0 0 1")
                ->command,
            "kernel");
  EXPECT_FALSE(parse_pid_stat("12 (short) S 1"));
  EXPECT_FALSE(parse_pid_stat(""));
  EXPECT_FALSE(parse_pid_stat(")("));
}

TEST(CounterDelta, KnowsAWrapFromARestart) {
  EXPECT_EQ(counter_delta(5, 9), 4u);
  EXPECT_EQ(counter_delta(0xFFFFFFF0, 0x10), 0x20u);
  EXPECT_FALSE(counter_delta(3'000'000, 10));          // began anew
  EXPECT_FALSE(counter_delta(uint64_t{1} << 40, 10));  // 64-bit counters do not wrap
  EXPECT_EQ(counter_delta(uint64_t{1} << 40, (uint64_t{1} << 40) + 1), 1u);
}

std::map<std::string, double> by_series(const std::vector<HostRow>& rows) {
  std::map<std::string, double> out;
  for (const auto& row : rows)
    out[row.entity.empty() ? row.metric : row.metric + "/" + row.entity] = row.value;
  EXPECT_EQ(out.size(), rows.size());
  return out;
}

TEST(MachineRows, GivesRatesAndLevels) {
  Snapshot before, now;
  now.monotonic_ns = 2'000'000'000;
  before.cpu = CpuTicks{100, 10, 1000};
  now.cpu = CpuTicks{150, 20, 1200};
  now.memory = Memory{1000, 250, 0, 0};
  now.load = 1.5;
  before.disks["sda"] = Disk{0, 0, 0xFFFFFFFF - 99};
  now.disks["sda"] = Disk{4096, 8192, 900};  // its busy time wrapped: 1000 ms
  now.disks["sdb"] = Disk{1, 1, 1};          // plugged in since: no rate yet
  before.networks["eth0"] = Network{1000, 500};
  now.networks["eth0"] = Network{5000, 10};  // sent began anew
  before.networks["lo"] = now.networks["lo"] = Network{1, 1};
  const auto rows = by_series(machine_rows(Config{}, before, now));
  const std::map<std::string, double> wanted = {{"cpu.total_percent", 25},
                                                {"cpu.iowait_percent", 5},
                                                {"load.1m", 1.5},
                                                {"memory.used_percent", 75},
                                                {"memory.available_bytes", 250},
                                                {"swap.used_percent", 0},
                                                {"disk.read_bytes_per_s/sda", 2048},
                                                {"disk.write_bytes_per_s/sda", 4096},
                                                {"disk.util_percent/sda", 50},
                                                {"net.rx_bytes_per_s/eth0", 2000}};
  EXPECT_EQ(rows, wanted);
}

Snapshot with_processes(int64_t second, const std::map<uint32_t, Process>& processes) {
  Snapshot snapshot;
  snapshot.monotonic_ns = second * 1'000'000'000;
  snapshot.processes = processes;
  return snapshot;
}

TEST(TopProcesses, ReportsTheTopWithACapAndATtl) {
  Config config;
  config.top_processes = 2;
  config.max_processes = 3;
  config.process_idle_ttl_s = 5;
  TopProcesses top(config, Machine{100, 4096});
  const std::map<uint32_t, Process> start = {{1, {"db", 100, 10, 1}},
                                             {2, {"web", 100, 20, 1}},
                                             {3, {"web", 50, 5, 1}},
                                             {4, {"cron", 5, 1, 1}}};
  auto now = start;
  now[1].ticks += 50;
  now[2].ticks += 30;
  now[3].ticks += 30;
  now[4].ticks += 10;
  now[5] = {"new", 5, 1, 99};
  std::vector<HostRow> rows;
  EXPECT_EQ(top.report(with_processes(0, start), with_processes(1, now), rows), 2u);
  const std::map<std::string, double> wanted = {{"process.cpu_percent/web", 60},
                                                {"process.rss_bytes/web", 25 * 4096},
                                                {"process.cpu_percent/db", 50},
                                                {"process.rss_bytes/db", 10 * 4096},
                                                {"process.others_cpu_percent", 15}};
  EXPECT_EQ(by_series(rows), wanted);

  // cron takes the last place under the cap; "new" is in the top but finds none. The pid of web is
  // another process now. web is idle but still reported, also when it is gone.
  const auto before = now;
  now.erase(2);
  now.erase(3);
  now[4].ticks += 40;
  now[5].ticks += 80;
  now[1] = {"db", 7, 10, 555};
  rows.clear();
  top.report(with_processes(1, before), with_processes(2, now), rows);
  auto found = by_series(rows);
  EXPECT_EQ(found.at("process.cpu_percent/new"), 80);
  EXPECT_EQ(found.at("process.cpu_percent/web"), 0);
  EXPECT_EQ(found.at("process.cpu_percent/db"), 7);
  EXPECT_FALSE(found.contains("process.cpu_percent/cron"));
  EXPECT_EQ(found.at("process.others_cpu_percent"), 40);
  rows.clear();
  top.report(with_processes(9, now), with_processes(10, now), rows);
  EXPECT_EQ(by_series(rows), (std::map<std::string, double>{{"process.others_cpu_percent", 0}}));
}

TEST(NextStamp, NeverGoesBackForASmallStepAndTakesALargeOne) {
  constexpr int64_t kS = 1'000'000, kT = 1'700'000'000 * kS;
  EXPECT_EQ(next_stamp(0, kS, kT).time_us, kT);
  EXPECT_EQ(next_stamp(kT, kS, kT + kS + 50).time_us, kT + kS + 50);
  EXPECT_FALSE(next_stamp(kT, kS, kT + kS + 50).jumped);
  EXPECT_EQ(next_stamp(kT, kS, kT - 2 * kS).time_us, kT + kS / 2);  // caught up with slowly
  EXPECT_TRUE(next_stamp(kT, kS, kT - 2 * kS).jumped);
  EXPECT_EQ(next_stamp(kT, kS, kT - 3600 * kS).time_us, kT - 3600 * kS);
  EXPECT_EQ(next_stamp(kT, kS, kT + 3600 * kS).time_us, kT + 3600 * kS);
}

class NoHost final : public SourceHost {
 public:
  Result<void> flush(std::span<const uint32_t>, int64_t) override { return {}; }
  void lost(std::span<const uint32_t>) override {}
};

TEST(HostSource, KeepsItsScheduleAndCountsWhatItSkips) {
  const auto folder = fs::path(testing::TempDir()) / "host_source_proc";
  fs::remove_all(folder);
  fs::create_directories(folder / "net");
  std::ofstream(folder / "stat") << "cpu  1 1 1 1 1 1 1 1\n";
  std::ofstream(folder / "loadavg") << "0.5 0 0\n";
  Config config;
  config.proc = folder.string();
  ManualClock clock(1'700'000'000'000'000);
  MetricRegistry metrics;
  auto source = make_host_source(config, "host", clock, metrics);
  ASSERT_TRUE(source.ok());
  NoHost host;
  ASSERT_TRUE((*source)->open({}, host).ok());
  auto& skipped =
      metrics.counter("quickwater_host_samples_skipped_total", "", {{"source", "host"}});

  EXPECT_TRUE((*source)->poll(400'000)->empty());
  auto batch = (*source)->poll(700'000);
  ASSERT_GE(batch->rows.rows(), 1u);
  EXPECT_EQ(clock.monotonic_ns(), 1'000'000'000);
  EXPECT_EQ(batch->rows.column(4).int_at(0), 1'700'000'001'000'000);
  clock.advance_us(300'000);  // a slow pipeline does not move the grid
  (void)(*source)->poll(1'000'000);
  EXPECT_EQ(clock.monotonic_ns(), 2'000'000'000);
  EXPECT_EQ(skipped.value(), 0u);
  clock.advance_us(3'500'000);
  EXPECT_EQ((*source)->poll(0)->rows.rows() > 0, true);
  EXPECT_EQ(skipped.value(), 2u);
  (void)(*source)->poll(1'000'000);
  EXPECT_EQ(clock.monotonic_ns(), 6'000'000'000);

  fs::remove(folder / "stat");
  EXPECT_EQ((*make_host_source(config, "h2", clock, metrics))->open({}, host).error().code,
            ErrorCode::kUnsupported);
  fs::remove_all(folder);
}

TEST(HostSource, ReadsThisMachine) {
  ManualClock clock(1'700'000'000'000'000);
  MetricRegistry metrics;
  auto source = make_host_source(Config{}, "host", clock, metrics);
  NoHost host;
  ASSERT_TRUE((*source)->open({}, host).ok());
  const auto batch = (*source)->poll(2'000'000);
  ASSERT_TRUE(batch.ok());
  EXPECT_GE(batch->rows.rows(), 4u);
  for (size_t i = 0; i < batch->rows.rows(); ++i)
    EXPECT_GE(batch->rows.column(3).double_at(i), 0) << batch->rows.column(0).string_at(i);
}

TEST(HostConfig, RefusesWhatCannotWork) {
  Config config;
  config.interval_ms = -5;
  EXPECT_FALSE(check(config).ok());
  config = Config{};
  config.top_processes = 100;
  EXPECT_FALSE(check(config).ok());
}

}  // namespace
}  // namespace qw::streams::host
