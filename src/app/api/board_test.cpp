// Aim: the board keeps the newest points of each series in order, and no more than it promises.
// Method: decisions made by hand; what must remain is counted, not read back from the board.
#include "app/api/board.h"

#include <gtest/gtest.h>

#include <cmath>

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
  void see(const std::string& key, int64_t t_us, bool warm = true) {
    schema::DecisionRecord record;
    record.key = key;
    record.as_of = EventTime{t_us};
    record.score = 2;
    record.warm = warm;
    DecisionSeen seen{record};
    seen.value = static_cast<double>(t_us);
    board_->on_decision(seen);
  }
  std::unique_ptr<Board> board_;
};

TEST_F(BoardTest, KeepsTheNewestPointsOldestFirst) {
  const auto last = static_cast<int64_t>(Board::kMaxPoints) + 700;
  for (int64_t t = 1; t <= last; ++t) see("cpu/all", t);
  const auto series = board_->find("unusual/cpu/all", 0, last);
  ASSERT_TRUE(series);
  ASSERT_EQ(series->points.size(), Board::kMaxPoints);
  for (size_t i = 0; i < series->points.size(); ++i)
    ASSERT_EQ(series->points[i].t_us, 701 + static_cast<int64_t>(i));
  const auto all = board_->all(3);
  ASSERT_EQ(all.at(0).points.size(), 3u);
  EXPECT_EQ(all[0].points[0].t_us, last - 2);
  EXPECT_FALSE(board_->find("unusual/gone", 0, last));
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

}  // namespace
}  // namespace qw::app
