// Aim: the board keeps the newest points of each series in order, no more than it promises, and no
// peak is lost where rows become one.
// Method: decisions made by hand; what must remain is counted, not read back from the board.
#include "app/api/board.h"

#include <gtest/gtest.h>

#include <cmath>

#include "app/api/series.h"

namespace qw::app {
namespace {

class BoardTest : public ::testing::Test {
 protected:
  BoardTest() {
    auto plan = std::make_shared<Plan>();
    plan->decisions.resize(1);
    plan->decisions[0].name = "unusual";
    board_ = std::make_unique<Board>(plan);
  }
  static schema::DecisionRecord record(const std::string& key, int64_t t_us, bool warm = true) {
    schema::DecisionRecord record;
    record.key = key;
    record.as_of = EventTime{t_us};
    record.event_seq = Seq{static_cast<uint64_t>(t_us)};
    record.score = 2;
    record.warm = warm;
    record.inputs = {static_cast<double>(t_us)};
    return record;
  }
  void see(const std::string& key, int64_t t_us, bool warm = true) {
    const auto made = record(key, t_us, warm);
    DecisionSeen seen{made};
    seen.value = t_us == 17 ? 1e6 : static_cast<double>(t_us);
    board_->on_decision(seen);
  }
  std::unique_ptr<Board> board_;
};

TEST_F(BoardTest, KeepsTheNewestPointsOldestFirst) {
  const auto last = static_cast<int64_t>(Board::kMaxPoints) + 700;
  for (int64_t t = 1; t <= last; ++t) see("cpu/all", t);
  const auto series = board_->find("unusual/cpu/all", 1'000'000);
  ASSERT_TRUE(series);
  ASSERT_EQ(series->points.size(), Board::kMaxPoints);
  for (size_t i = 0; i < series->points.size(); ++i)
    ASSERT_EQ(series->points[i].t_us, 701 + static_cast<int64_t>(i));
  const auto all = board_->all(3);
  ASSERT_EQ(all.at(0).points.size(), 3u);
  EXPECT_EQ(all[0].points[0].t_us, last - 2);
  EXPECT_FALSE(board_->find("unusual/gone", 1));
}

TEST_F(BoardTest, OlderRowsLiveOnInBlocksThatKeepTheirExtremes) {
  const auto last = static_cast<int64_t>(Board::kMaxPoints) + 700;
  for (int64_t t = 1; t <= last; ++t) see("a", t);
  const auto span = board_->span("unusual/a", 0, last);
  ASSERT_TRUE(span);
  EXPECT_EQ(span->kept_from_us, 1);
  size_t rows = 0;
  double most = 0;
  for (const BoardRow& row : span->rows) {
    rows += row.rows;
    most = std::max(most, row.max);
  }
  EXPECT_EQ(rows, static_cast<size_t>(last));
  EXPECT_EQ(most, 1e6);
  std::vector<BoardRow> reduced = span->rows;
  EXPECT_GT(reduce(reduced, 10), 0);
  EXPECT_LE(reduced.size(), 10u);
  EXPECT_EQ(reduced.front().max, 1e6);
  EXPECT_EQ(reduced.front().min, 1);
  EXPECT_EQ(reduced.back().t_us, last);
}

TEST_F(BoardTest, BlocksAreBoundedToo) {
  const size_t most = Board::kMaxPoints + Board::kMaxBlocks * Board::kBlockRows;
  for (size_t t = 1; t <= most + 5'000; ++t) see("a", static_cast<int64_t>(t));
  size_t rows = 0;
  const auto span = board_->span("unusual/a", 0, 1'000'000);
  for (const BoardRow& row : span.value().rows) rows += row.rows;
  EXPECT_LE(rows, most);
  EXPECT_GT(rows, most - 2 * Board::kBlockRows);
}

TEST_F(BoardTest, ADetectorThatStillLearnsHasNoScore) {
  see("a", 1, false);
  EXPECT_TRUE(std::isnan(board_->all(1).at(0).points.at(0).score));
}

TEST_F(BoardTest, RefusesSeriesBeyondItsLimit) {
  for (size_t i = 0; i < Board::kMaxSeries + 5; ++i) see(std::to_string(i), 1);
  EXPECT_EQ(board_->all(1).size(), Board::kMaxSeries);
  EXPECT_EQ(board_->refused(), 5u);
}

TEST_F(BoardTest, ATickTellsOfEachNewRowOnce) {
  for (int64_t t = 1; t <= 3; ++t) see("a", t);
  see("b", 1);
  auto changed = board_->take_changed();
  ASSERT_EQ(changed.size(), 2u);
  EXPECT_EQ(changed[0].fresh, 3u);
  EXPECT_EQ(changed[0].points.at(0).t_us, 3);
  EXPECT_TRUE(board_->take_changed().empty());
  see("b", 2);
  changed = board_->take_changed();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].fresh, 1u);
}

// What was decided before a restart, read back newest first, while new decisions come.
TEST_F(BoardTest, RecallsWhatIsOlderThanWhatItHas) {
  see("a", 11);
  for (int64_t t = 12; t >= 9; --t) {
    board_->recall(0, PartitionId{}, Seq{static_cast<uint64_t>(t)}, record("a", t),
                   static_cast<double>(t));
    board_->recall(0, PartitionId{}, Seq{static_cast<uint64_t>(t)}, record("b", t),
                   static_cast<double>(t));
  }
  see("a", 12);
  see("b", 13);
  const auto times = [&](const std::string& id) {
    std::vector<int64_t> times;
    const auto found = board_->find(id, 100);
    for (const BoardPoint& point : found.value().points) times.push_back(point.t_us);
    return times;
  };
  EXPECT_EQ(times("unusual/a"), (std::vector<int64_t>{9, 10, 11, 12}));
  EXPECT_EQ(times("unusual/b"), (std::vector<int64_t>{9, 10, 11, 12, 13}));
}

// As much comes back as was kept before, while new rows push older ones on.
TEST_F(BoardTest, RecallsBlocksToo) {
  constexpr int64_t kAll = Board::kMaxPoints + Board::kMaxBlocks * Board::kBlockRows;
  constexpr int64_t kLast = kAll + 500;
  int64_t live = kLast;
  for (int64_t t = kLast; t >= 1; --t) {
    board_->recall(0, PartitionId{}, Seq{static_cast<uint64_t>(t)}, record("a", t),
                   static_cast<double>(t));
    if (t % 1000 == 0) see("a", ++live);
  }
  const auto span = board_->span("unusual/a", 1, live).value();
  EXPECT_NEAR(static_cast<double>(span.kept_from_us), static_cast<double>(live - kAll + 1),
              Board::kBlockRows);
  int64_t expected = span.kept_from_us;
  uint32_t rows = 0;
  for (const BoardRow& row : span.rows) {
    EXPECT_EQ(row.first_us, expected);  // none is missing, none twice
    EXPECT_EQ(row.t_us, row.first_us + row.rows - 1);
    EXPECT_EQ(row.seq, static_cast<uint64_t>(row.t_us));
    expected = row.t_us + 1;
    rows += row.rows;
  }
  EXPECT_EQ(expected, live + 1);
  EXPECT_EQ(rows, live - span.kept_from_us + 1);
}

TEST(Reduce, UnknownValuesAndScoresDoNotHideKnownOnes) {
  std::vector<BoardRow> rows;
  for (int64_t t = 0; t < 100; ++t)
    rows.push_back(BoardRow::of({t, t % 2 == 0 ? NAN : 4.0, t == 50 ? 9.0 : NAN, 1}));
  EXPECT_EQ(reduce(rows, 10), 10);
  ASSERT_EQ(rows.size(), 10u);
  EXPECT_EQ(rows[0].mean, 4.0);
  EXPECT_EQ(rows[5].score, 9.0);
  EXPECT_TRUE(std::isnan(rows[4].score));
}

}  // namespace
}  // namespace qw::app
