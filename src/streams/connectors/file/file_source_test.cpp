// Aim: every record of a file comes exactly once and in order, through restarts, rotation and
// truncation, and a bad record costs only itself. Method: files written by the test, read with
// restarts at random saved places, against the list of records that was written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "streams/connectors/file/files.h"
#include "streams/connectors/file/source.h"

namespace qw::streams::file {
namespace {

namespace fs = std::filesystem;
using schema::Field;
using testing::ElementsAre;
using testing::HasSubstr;

class NoHost final : public SourceHost {
 public:
  Result<void> flush(std::span<const uint32_t>, int64_t) override { return {}; }
  void lost(std::span<const uint32_t>) override {}
};

class FileSourceTest : public testing::Test {
 protected:
  FileSourceTest() {
    folder_ = fs::path(testing::TempDir()) /
              ("file_source_" + std::to_string(testing::UnitTest::GetInstance()->random_seed()) +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    config_.path = folder_.string();
    decode_.format = Format::kJson;
    decode_.time_form = TimeForm::kEpochMicros;
    decode_.schema = std::make_shared<schema::Schema>(
        schema::Schema({Field{"ts", schema::kTimestamp}, Field{"v", schema::kInt64},
                        Field{"s", schema::kString}}));
  }
  ~FileSourceTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void append(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::app | std::ios::binary) << text;
  }
  static std::string row(int64_t ts_us, int64_t v) {
    return "{\"ts\":" + std::to_string(ts_us) + ",\"v\":" + std::to_string(v) + "}\n";
  }

  void start() {
    auto made = make_file_source(config_, decode_, "ts", clock_);
    ASSERT_TRUE(made.ok()) << made.error().to_string();
    source_ = std::move(made).value();
    const auto opened = source_->open(saved_, host_);
    ASSERT_TRUE(opened.ok()) << opened.error().to_string();
  }

  // Polls until nothing comes; keeps values, positions and the saved places. Stops at `most`
  // batches.
  void drain(size_t most = SIZE_MAX) {
    for (size_t i = 0; i < most; ++i) {
      auto batch = source_->poll(1000);
      ASSERT_TRUE(batch.ok()) << batch.error().to_string();
      if (batch->empty()) return;
      note(*batch);
    }
  }
  void note(const SourceBatch& batch) {
    ASSERT_EQ(batch.positions.size(), batch.rows.rows());
    for (size_t i = 0; i < batch.rows.rows(); ++i) {
      values_.push_back(batch.rows.column(1).int_at(i));
      EXPECT_GT(batch.positions[i], last_position_[batch.partition]) << "positions grow";
      last_position_[batch.partition] = batch.positions[i];
    }
    for (const auto& rejected : batch.rejected)
      rejected_.push_back(rejected.position + " " + rejected.reason);
    saved_[batch.partition] = batch.resume;
  }

  fs::path folder_;
  Config config_;
  DecodeOptions decode_;
  ManualClock clock_;
  NoHost host_;
  std::unique_ptr<Source> source_;
  SavedPositions saved_;
  std::vector<int64_t> values_;
  std::map<uint32_t, uint64_t> last_position_;
  std::vector<std::string> rejected_;
};

TEST_F(FileSourceTest, ReadsFilesInOrderAndFinishes) {
  append("b.json", row(1, 3) + row(2, 4));
  append("a.json", row(5, 1) + "broken\n" + row(6, 2).substr(0, row(6, 2).size() - 1));
  append(".hidden", row(1, 99));
  start();
  drain();
  EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4));
  ASSERT_EQ(rejected_.size(), 1u);
  EXPECT_THAT(rejected_[0], HasSubstr("a.json:2 not a JSON object"));
  EXPECT_EQ(source_->status().state, SourceState::kFinished);
  EXPECT_EQ(source_->status().rows, 4u);
}

TEST_F(FileSourceTest, RestartsAtAnySavedPlaceWithoutLossOrRepeat) {
  decode_.format = Format::kCsv;
  config_.series_column = "s";
  std::vector<int64_t> wanted;
  std::string text = "ts,v\n";
  size_t bad = 0;
  for (int64_t i = 0; i < 20'000; ++i) {
    if (i % 97 == 0) {
      text += "x,broken\n";
      ++bad;
    } else {
      text += std::to_string(i) + "," + std::to_string(i) + "\n";
      wanted.push_back(i);
    }
  }
  append("big.csv", text);
  for (const Mode mode : {Mode::kRead, Mode::kReplay, Mode::kTail}) {
    config_.mode = mode;
    values_.clear();
    rejected_.clear();
    saved_.clear();
    last_position_.clear();
    Random random(7);
    for (int restarts = 0; restarts < 200 && values_.size() < wanted.size(); ++restarts) {
      start();
      drain(1 + random.below(3));
    }
    EXPECT_EQ(values_, wanted) << int(mode);
    EXPECT_EQ(rejected_.size(), bad);
    EXPECT_EQ(last_position_[0], 20'000u);
  }
}

TEST_F(FileSourceTest, TailsWholeLinesOnly) {
  config_.mode = Mode::kTail;
  config_.path = path("*.json");
  start();
  EXPECT_EQ(source_->status().state, SourceState::kWaiting);
  append("log.json", row(1, 1) + "{\"ts\":2,");
  clock_.advance_us(2'000'000);
  drain();
  EXPECT_THAT(values_, ElementsAre(1));
  start();  // in the middle of a line
  append("log.json", "\"v\":2}\n" + row(3, 3));
  drain();
  EXPECT_THAT(values_, ElementsAre(1, 2, 3));
  EXPECT_TRUE(rejected_.empty());
}

TEST_F(FileSourceTest, KnowsWhetherMoreWaits) {
  config_.mode = Mode::kTail;
  for (int64_t i = 0; i < static_cast<int64_t>(kMaxBatchRows) + 10; ++i)
    append("long.json", row(i + 1, i));
  append("short.json", row(1, 7));
  start();
  EXPECT_FALSE(source_->caught_up()) << "nothing was looked at";
  drain(1);
  EXPECT_FALSE(source_->caught_up()) << "the other file was not looked at, or the long one goes on";
  drain();
  EXPECT_TRUE(source_->caught_up());
  append("short.json", row(2, 8));
  drain(1);
  EXPECT_TRUE(source_->caught_up()) << "all that was there was handed out";
  config_.mode = Mode::kRead;
  saved_.clear();
  last_position_.clear();
  start();
  drain(1);
  EXPECT_FALSE(source_->caught_up()) << "history is read to its end first";
  drain();
  EXPECT_TRUE(source_->caught_up());
}

// What waits in several files: an entity whose events lie in all of them sees them in their order.
TEST_F(FileSourceTest, FollowedFilesAreReadByTheTimeOfTheirRows) {
  config_.mode = Mode::kTail;
  for (int64_t i = 0; i < 900; ++i)
    append("part" + std::to_string(i / 30 % 3) + ".json", row(i * 200'000 + 1, i));
  start();
  drain();
  std::vector<int64_t> in_order(900);
  for (size_t i = 0; i < in_order.size(); ++i) in_order[i] = static_cast<int64_t>(i);
  EXPECT_EQ(values_, in_order);
  EXPECT_TRUE(source_->caught_up());
}

TEST_F(FileSourceTest, FollowsRotationAlsoAcrossARestart) {
  config_.mode = Mode::kTail;
  for (const bool restart : {false, true}) {
    values_.clear();
    saved_.clear();
    last_position_.clear();
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove(entry.path());
    append("log", row(1, 1) + row(2, 2));
    start();
    drain();
    append("log", row(3, 3));
    fs::rename(path("log"), path("log.1"));
    append("log.1", row(4, 4));  // the writer had it open still
    append("log", row(5, 5));
    if (restart) start();
    for (int i = 0; i < 4; ++i) {
      clock_.advance_us(2'000'000);
      drain();
    }
    EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4, 5)) << restart;
    // The old file is not taken for a new one, not even by the next process.
    start();
    for (int i = 0; i < 4; ++i) {
      clock_.advance_us(2'000'000);
      drain();
    }
    EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4, 5)) << restart;
    append("log", row(6, 6));
    clock_.advance_us(2'000'000);
    drain();
    EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

TEST_F(FileSourceTest, StartsOverWhenTheFileIsCut) {
  config_.mode = Mode::kTail;
  append("log", row(1, 1) + row(2, 2) + row(3, 3));
  start();
  drain();
  fs::resize_file(path("log"), 0);
  append("log", row(4, 4));
  clock_.advance_us(2'000'000);
  drain();
  EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4));
  // Rewritten while nobody looked, and longer than before.
  fs::resize_file(path("log"), 0);
  append("log", row(5, 50) + row(6, 60) + row(7, 70) + row(8, 80));
  start();
  drain();
  EXPECT_THAT(values_, ElementsAre(1, 2, 3, 4, 50, 60, 70, 80));
}

TEST_F(FileSourceTest, BeginsAtTheEndWhenAsked) {
  config_.mode = Mode::kTail;
  config_.from_end = true;
  append("log", row(1, 1) + row(2, 2) + "{\"ts\":3,");
  start();
  drain();
  append("log", "\"v\":3}\n");
  append("new", row(4, 4));
  clock_.advance_us(2'000'000);
  drain();
  EXPECT_THAT(values_, ElementsAre(3, 4));
}

TEST_F(FileSourceTest, ReplaysAllFilesByEventTime) {
  config_.mode = Mode::kReplay;
  std::vector<std::pair<int64_t, int64_t>> wanted;
  Random random(3);
  for (int file = 0; file < 5; ++file) {
    int64_t ts = 0;
    std::string text;
    for (int i = 0; i < 500; ++i) {
      ts += static_cast<int64_t>(random.below(5));
      text += row(ts, file * 1000 + i);
      wanted.emplace_back(ts * 10 + file, file * 1000 + i);
    }
    append(std::to_string(file) + ".json", text);
  }
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<int64_t> values;
  for (const auto& [when, value] : wanted) values.push_back(value);
  for (int restarts = 0; restarts < 1000 && values_.size() < values.size(); ++restarts) {
    start();
    drain(1 + random.below(20));
  }
  EXPECT_EQ(values_, values);
}

TEST_F(FileSourceTest, ReplaysAtTheSetSpeedAndShortensLongPauses) {
  config_.mode = Mode::kReplay;
  config_.speed = 10;
  config_.max_gap_s = 100;
  constexpr int64_t kS = 1'000'000;
  append("a", row(0, 0) + row(10 * kS, 1) + row(20 * kS, 2) + row(1'000'020 * kS, 3));
  start();
  std::vector<int64_t> at_ms;
  for (int i = 0; i < 1000 && source_->status().state != SourceState::kFinished; ++i) {
    auto batch = source_->poll(100'000);
    ASSERT_TRUE(batch.ok());
    for (size_t j = 0; j < batch->rows.rows(); ++j)
      at_ms.push_back(clock_.monotonic_ns() / 1'000'000);
  }
  EXPECT_THAT(at_ms, ElementsAre(0, 1000, 2000, 12'000));
}

TEST_F(FileSourceTest, AHugeRecordAndABrokenHeaderCostOnlyThemselves) {
  append("a", row(1, 1) + "{\"s\":\"" + std::string(10'000'000, 'x') + "\"}\n" + row(2, 2));
  start();
  drain();
  EXPECT_THAT(values_, ElementsAre(1, 2));
  EXPECT_THAT(rejected_, ElementsAre(HasSubstr("longer than max_record_bytes (1048576)")));

  fs::remove(path("a"));
  values_.clear(), rejected_.clear(), saved_.clear(), last_position_.clear();
  decode_.format = Format::kCsv;
  decode_.schema = std::make_shared<schema::Schema>(
      schema::Schema({Field{"ts", schema::kTimestamp, false}, Field{"v", schema::kInt64}}));
  append("a.csv", "time,v\n1,1\n");
  append("b.csv", "ts,v\n1,2\n");
  append("c.csv", "");
  start();
  drain();
  EXPECT_THAT(values_, ElementsAre(2));
  EXPECT_THAT(rejected_, ElementsAre(HasSubstr("'ts' is not in the header (time, v)")));
  EXPECT_TRUE(source_->status().trouble.has_value());
}

TEST_F(FileSourceTest, SaysWhatIsWrongWithTheConfiguration) {
  config_.path = path("none.csv");
  auto made = make_file_source(config_, decode_, "ts", clock_);
  const auto opened = (*made)->open({}, host_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(make_file_source(config_, decode_, "nope", clock_).ok());
  config_.series_column = "v";
  EXPECT_FALSE(make_file_source(config_, decode_, "ts", clock_).ok());
  config_.series_column = "";
  config_.speed = -1;
  EXPECT_FALSE(make_file_source(config_, decode_, "ts", clock_).ok());
}

TEST_F(FileSourceTest, RefusesADamagedPlace) {
  append("a", row(1, 1));
  start();
  drain();
  saved_[0].back() = static_cast<char>(saved_[0].back() ^ 1);
  auto made = make_file_source(config_, decode_, "ts", clock_);
  EXPECT_EQ((*made)->open(saved_, host_).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace qw::streams::file
