// Aim: a decision is the same whoever asks for it; `when`, keys, rules and outputs mean what the
// plan says; what was decided before is not decided again. Method: two callers with a slot and
// working memory each, fed the same rows, as the event path and a request are; records by bytes.
#include "serve/decider.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>

#include "base/env.h"
#include "models/engines/builtin.h"
#include "store/commit/committer.h"

namespace qw::serve {
namespace {

using features::Cell;
using features::Expression;
using schema::Field;
using schema::Schema;

constexpr PartitionId kEvents{1}, kStream{2};

const std::vector<Field> kColumns{
    {"host", schema::kString}, {"app", schema::kString}, {"x", schema::kDouble}};

Expression compiled(const char* text, const std::vector<Field>& inputs) {
  return Expression::compile(text, Schema(inputs)).value();
}

// Of a source without features; x is scored by a detector.
DecisionPlan detector_plan() {
  DecisionPlan plan;
  plan.name = "watch";
  plan.model_name = "anomaly";
  plan.key_columns = {0, 1};
  plan.model_inputs = {2};
  std::vector<Field> inputs = kColumns;
  plan.features_begin = plan.model_begin = inputs.size();
  plan.when = compiled("x > -100", inputs);
  inputs.push_back({"score", schema::kDouble, true});
  inputs.push_back({"threshold", schema::kDouble, true});
  inputs.push_back({"warm", schema::kBool, false});
  plan.outputs_begin = inputs.size();
  plan.outputs.push_back({"alarm", compiled("score >= threshold", inputs)});
  inputs.push_back({"alarm", schema::kBool, true});
  plan.inputs = std::make_shared<const Schema>(inputs);
  return plan;
}

// By rules alone: the one called "score" is the score.
DecisionPlan rule_plan() {
  DecisionPlan plan = detector_plan();
  plan.model_name = "doubled";
  std::vector<Field> inputs = kColumns;
  plan.rules.push_back({"twice", compiled("x * 2", inputs)});
  inputs.push_back({"twice", schema::kDouble, true});
  plan.rules.push_back({"score", compiled("x * 3", kColumns)});
  inputs.push_back({"score", schema::kDouble, true});
  plan.rules.push_back({"rest", compiled("x * 4", kColumns)});
  inputs.push_back({"rest", schema::kDouble, true});
  plan.outputs_begin = inputs.size();
  plan.outputs.clear();
  plan.outputs.push_back({"high", compiled("twice > 10", inputs)});
  inputs.push_back({"high", schema::kBool, true});
  plan.inputs = std::make_shared<const Schema>(inputs);
  return plan;
}

class DeciderTest : public ::testing::Test {
 protected:
  DeciderTest() : rows_(std::make_shared<const Schema>(kColumns)) {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-decider-XXXXXX";
    options_.folder = ::mkdtemp(pattern.data());
    store_ = store::Store::open(options_, metrics_).value();
    committer_ =
        std::make_unique<store::Committer>(*store_, clock_, metrics_, store::CommitterOptions());
    EXPECT_TRUE(committer_->open().ok());
    lane_ = &committer_->lane("events");
    checkpointer_ = std::make_unique<store::Checkpointer>(*store_, *lane_, clock_,
                                                          store::CheckpointerOptions());
  }
  ~DeciderTest() override {
    callers_.clear();
    checkpointer_.reset();
    committer_.reset();
    store_.reset();
    std::filesystem::remove_all(options_.folder);
  }

  struct Caller {
    std::unique_ptr<ModelSlot> slot;
    std::unique_ptr<Decider> decider;
    std::vector<Cell> cells;
    Decided decided;
  };
  Caller& caller(const DecisionPlan& plan, const std::string& model) {
    ServingOptions options;
    options.decision = plan.name;
    options.model = model;
    options.input = input_definition(plan);
    auto made = std::make_unique<Caller>();
    made->slot = std::make_unique<ModelSlot>(*store_, *lane_, *checkpointer_, clock_, options);
    made->decider = std::make_unique<Decider>(plan, *made->slot);
    made->cells.resize(plan.inputs->size());
    callers_.push_back(std::move(made));
    return *callers_.back();
  }
  void install(Caller& caller) {
    const std::shared_ptr<const models::LearningEngine> engine =
        models::make_detector("ensemble", {}).value();
    const auto held = lane_->hold();
    ASSERT_TRUE(caller.slot->open_stream(kStream).ok());
    ASSERT_TRUE(caller.slot
                    ->install_champion(std::make_unique<LearningVersion>(
                        *store_, caller.slot->options(), 1, engine))
                    .ok());
  }
  void add(const char* host, const char* app, double x) {
    rows_.append_row({std::string(host), std::string(app), x});
  }
  // The record's bytes; nothing where there is no decision.
  std::optional<std::string> decide(Caller& caller, size_t row) {
    const auto held = lane_->hold();
    caller.decider->name_records(lane_->open().txn);
    for (size_t column = 0; column < kColumns.size(); ++column)
      caller.cells[column] = features::cell_at(rows_.column(column), row);
    const DecisionInput input{.rows = rows_,
                              .row = row,
                              .partition = kEvents,
                              .stream = kStream,
                              .seq = Seq{row + 1},
                              .as_of = EventTime{static_cast<int64_t>(row) * 1'000'000},
                              .cells = caller.cells,
                              .statuses = {},
                              .known = {}};
    const auto made = caller.decider->decide(input, KnownAt{42}, caller.decided);
    EXPECT_TRUE(made.ok());
    if (!*made) return std::nullopt;
    std::string bytes;
    schema::encode_decision(caller.decided.record, bytes);
    return bytes;
  }

  MetricRegistry metrics_;
  ManualClock clock_{1'700'000'000'000'000};
  store::StoreOptions options_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Committer> committer_;
  store::Lane* lane_ = nullptr;
  std::unique_ptr<store::Checkpointer> checkpointer_;
  std::vector<std::unique_ptr<Caller>> callers_;
  schema::Batch rows_;
};

TEST_F(DeciderTest, WhoeverAsksGetsTheSameRecord) {
  const DecisionPlan plan = detector_plan();
  // States are stored under the model's name: two models, of which nothing else differs.
  Caller& events = caller(plan, "anomaly");
  Caller& requests = caller(plan, "anomaly");
  install(events);
  install(requests);
  for (int row = 0; row < 400; ++row)
    add(row % 2 == 0 ? "a" : "b/c", "web", std::sin(row / 5.0) + (row == 390 ? 50 : 0));
  double most = 0;
  for (size_t row = 0; row < 400; ++row) {
    const auto event = decide(events, row);
    ASSERT_TRUE(event);
    EXPECT_EQ(event, decide(requests, row)) << row;
    most = std::max(most, events.decided.record.score);
  }
  EXPECT_GT(most, 0) << "something was scored";
  EXPECT_EQ(events.decided.record.key, "b%2Fc/web");
  EXPECT_EQ(events.decided.record.served_by(), "anomaly@1");
  EXPECT_EQ(events.decided.record.schema_id, events.decider->schema().id());
}

TEST_F(DeciderTest, WhatWasDecidedBeforeIsNotDecidedAgain) {
  const DecisionPlan plan = detector_plan();
  Caller& events = caller(plan, "anomaly");
  install(events);
  add("a", "web", 1);
  EXPECT_TRUE(decide(events, 0));
  EXPECT_FALSE(decide(events, 0)) << "the state has learned that record";
}

TEST_F(DeciderTest, RulesScoreAndOutputsFollow) {
  const DecisionPlan plan = rule_plan();
  Caller& events = caller(plan, "doubled");
  add("a", "web", 7);
  add("a", "web", 4);
  add("a", "web", -200);
  ASSERT_TRUE(decide(events, 0));
  EXPECT_EQ(events.decided.record.score, 21);
  EXPECT_EQ(events.decided.record.served_by(), "doubled");
  EXPECT_EQ(std::get<int64_t>(events.decided.record.outputs.at(0)), 1);
  EXPECT_TRUE(std::isnan(events.decided.threshold)) << "a rule has none";
  ASSERT_TRUE(decide(events, 1));
  EXPECT_EQ(std::get<int64_t>(events.decided.record.outputs.at(0)), 0);
  EXPECT_FALSE(decide(events, 2)) << "`when` does not hold";
}

TEST_F(DeciderTest, ARuleThatIsNoNumberIsNoScore) {
  DecisionPlan plan = rule_plan();
  plan.rules[1].expression =
      compiled("case when x > 5 then cast(x as decimal(9, 2)) end", kColumns);
  Caller& events = caller(plan, "doubled");
  add("a", "web", 7.25);
  add("a", "web", 4);
  ASSERT_TRUE(decide(events, 0));
  EXPECT_EQ(events.decided.record.score, 7.25) << "not its digits";
  plan.rules[0].expression = compiled("case when x > 5 then x end", kColumns);
  Caller& nulls = caller(plan, "doubled");
  ASSERT_TRUE(decide(nulls, 1));
  EXPECT_TRUE(std::isnan(nulls.decided.record.score)) << "zero would be a score";
}

// Nobody reads features for what a condition on columns refuses.
TEST_F(DeciderTest, AConditionOnColumnsIsAskedBeforeTheFeatures) {
  DecisionPlan plan = rule_plan();
  // As if the source had a feature behind its columns.
  std::vector<Field> inputs = kColumns;
  inputs.push_back({"v.n", schema::kInt64, true});
  std::vector<Cell> cells(inputs.size());
  plan.when = compiled("x > 5", inputs);
  Caller& columns = caller(plan, "doubled");
  cells[2] = Cell::of_double(4);
  EXPECT_FALSE(columns.decider->may_decide(cells));
  cells[2] = Cell::of_double(6);
  EXPECT_TRUE(columns.decider->may_decide(cells));
  plan.when = compiled("x > 5 and v.n > 1", inputs);
  Caller& feature = caller(plan, "doubled");
  cells[2] = Cell::of_double(4);
  EXPECT_TRUE(feature.decider->may_decide(cells)) << "the feature is not known yet";
}

}  // namespace
}  // namespace qw::serve
