// Aim: a meta row is called as every data folder calls it, and a name taken apart gives its parts.
// Method: the bytes of each name, written down as they were on disk before there was a table.
#include "store/commit/meta_names.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace qw::store {
namespace {

TEST(MetaNames, AreTheBytesThatDataFoldersHold) {
  const std::string view = "view/metric@00000000000000ff";
  const std::string model = "model/unusual/anomaly@3";
  constexpr PartitionId kTwo{2};
  const std::string of_gate = meta::gate("metrics");
  const std::vector<std::pair<std::string, std::string>> names = {
      {meta::partition("metrics/0"), "partition/metrics/0"},
      {meta::partition("unusual@metrics/12"), "partition/unusual@metrics/12"},
      {meta::positions_of("metrics"), "position/metrics/"},
      {meta::position("metrics", 12), "position/metrics/12"},
      {of_gate, "gate/metrics/"},
      {of_gate + std::string(meta::kGatePartition), "gate/metrics/p/"},
      {of_gate + std::string(meta::kGateChunk), "gate/metrics/ids/"},
      {of_gate + std::string(meta::kGateRun), "gate/metrics/run/"},
      {meta::gate_partition("metrics", kTwo), "gate/metrics/p/2"},
      {meta::gate_chunk(of_gate, 0x1f), "gate/metrics/ids/000000000000001f"},
      {meta::gate_run(of_gate, 0x1f), "gate/metrics/run/000000000000001f"},
      {meta::gate_seen(of_gate, 0x1f), "gate/metrics/seen/000000000000001f/"},
      {meta::gap(kTwo), "gap/2"},
      {meta::hole(Log::kEvents, kTwo), "hole/events/2"},
      {std::string(meta::kSegment), "segment/"},
      {meta::segments_of(Log::kDeadLetters, kTwo), "segment/dead_letters/0000000002/"},
      {meta::segment(Log::kJournal, kTwo, Seq{4097}),
       "segment/journal/0000000002/00000000000000004097"},
      {std::string(meta::kSegmentDropped), "segment-dropped/"},
      {meta::segment_dropped("events-2-1-5.parquet"), "segment-dropped/events-2-1-5.parquet"},
      {meta::spool(0xabc), "spool/0000000000000abc"},
      {meta::row_schema(0xabc), "schema/rows/0000000000000abc"},
      {meta::decision_schema(0xabc), "schema/decision/0000000000000abc"},
      {meta::low_waters_of(model), "low_water/model/unusual/anomaly@3/"},
      {meta::low_waters_of_views(), "low_water/view/"},
      {meta::low_water(view, kTwo), "low_water/view/metric@00000000000000ff/2"},
      {meta::definition(model), "definition/model/unusual/anomaly@3"},
      {meta::lost(view, kTwo), "lost/view/metric@00000000000000ff/2"},
      {meta::unused(view), "unused/view/metric@00000000000000ff"},
      {meta::serving("demo.anomaly"), "serving/demo.anomaly"},
      {meta::drift("unusual"), "drift/unusual"},
      {meta::alerts_of("unusual"), "alert/unusual/"},
      {meta::alert("unusual", kTwo, "cpu/all"), "alert/unusual/2/cpu/all"},
      {meta::audiences_of("unusual"), "audience/unusual/"},
      {meta::audience("unusual", kTwo, "cpu/all"), "audience/unusual/2/cpu/all"},
      {meta::heal("restart"), "heal/restart"},
      {std::string(meta::kHealJob), "heal_job/"},
      {meta::heal_job("act-1"), "heal_job/act-1"},
      {meta::outbox_state("heal.restart"), "outbox/heal.restart/state"},
      {meta::outbox_tries("heal.restart"), "outbox/heal.restart/tries"},
      {std::string(meta::kAppFile), "system/app_file"},
      {std::string(meta::kState), "system/state"},
      {std::string(meta::kRunClock), "clock/run"},
      {std::string(meta::kClockTrust), "clock/believed"},
  };
  for (const auto& [built, on_disk] : names) EXPECT_EQ(built, on_disk);
}

TEST(MetaNames, GiveTheirPartsBack) {
  EXPECT_EQ(meta::parse_partition("partition/unusual@metrics/12"), "unusual@metrics/12");
  EXPECT_EQ(meta::parse_position("position/metrics/12"), 12u);
  EXPECT_EQ(meta::parse_position("position/metrics/x"), std::nullopt);
  EXPECT_EQ(meta::parse_segment_dropped("segment-dropped/a.parquet"), "a.parquet");

  const auto low = meta::parse_low_water("low_water/model/unusual/anomaly@3/12");
  ASSERT_TRUE(low.has_value());
  EXPECT_EQ(low->owner, "model/unusual/anomaly@3");
  EXPECT_EQ(low->partition, PartitionId{12});
  for (const char* const none :
       {"low_water/12", "low_water/view/a@1/", "low_water/view/a@1/1x", "definition/view/a@1/2"})
    EXPECT_FALSE(meta::parse_low_water(none).has_value()) << none;

  const auto series = meta::parse_series("alert/unusual/", "alert/unusual/7/cpu/all");
  ASSERT_TRUE(series.has_value());
  EXPECT_EQ(series->stream, PartitionId{7});
  EXPECT_EQ(series->key, "cpu/all");
  EXPECT_EQ(meta::parse_series("alert/unusual/", "alert/unusual/7/")->key, "");
  EXPECT_FALSE(meta::parse_series("alert/unusual/", "alert/unusual/7").has_value());
  EXPECT_FALSE(meta::parse_series("alert/unusual/", "alert/unusual/x/cpu").has_value());
}

}  // namespace
}  // namespace qw::store
