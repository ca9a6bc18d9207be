// Aim: a version that scores rows finds its inputs by name, answers with the output that is its
// score, and keeps deciding when its engine fails. Method: engines that add up their inputs, or
// fail.
#include "serve/scoring_version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace qw::serve {
namespace {

using schema::Field;
using schema::Schema;

// Output o is (o + 1) times the sum of the inputs.
class SumEngine final : public models::ScoringEngine {
 public:
  SumEngine(std::vector<std::string> outputs, bool fails)
      : ScoringEngine(Schema({{"b", schema::kDouble}, {"a", schema::kDouble}}), named(outputs)),
        fails_(fails) {}
  std::string_view kind() const override { return "sum"; }

 private:
  static Schema named(const std::vector<std::string>& outputs) {
    std::vector<Field> fields;
    for (const std::string& name : outputs) fields.push_back({name, schema::kDouble});
    return Schema(fields);
  }
  Result<void> score_rows(const models::InputRows& rows, std::span<double> scores) const override {
    if (fails_) return Error{ErrorCode::kInternal, "it broke", "", ""};
    for (size_t row = 0; row < rows.count; ++row)
      for (size_t output = 0; output < outputs().size(); ++output)
        scores[output * rows.count + row] =
            static_cast<double>(output + 1) *
            (10 * rows.columns[0].numbers[row] + rows.columns[1].numbers[row]);
    return {};
  }
  const bool fails_;
};

Result<std::unique_ptr<ScoringVersion>> made(std::vector<std::string> outputs, bool fails = false,
                                             std::vector<Field> offered = {
                                                 {"a", schema::kInt64},
                                                 {"b", schema::kDouble},
                                                 {"c", schema::kString}}) {
  ServingOptions options;
  options.decision = "risky";
  options.model = "sum";
  options.inputs = Schema(std::move(offered));
  return ScoringVersion::make(options, 3, std::make_shared<SumEngine>(std::move(outputs), fails));
}

models::Score answer_of(ScoringVersion& version) {
  schema::DecisionRecord record;
  record.inputs = {int64_t{7}, 2.5, std::string("x")};
  const auto answer = version.answer(PartitionId{1}, record, 0);
  EXPECT_TRUE(answer.ok());
  return **answer;
}

TEST(ScoringVersion, FindsItsInputsByNameAndItsScoreAmongTheOutputs) {
  const auto only = made({"risk"});
  ASSERT_TRUE(only.ok());
  EXPECT_EQ(answer_of(**only).score, 32);
  EXPECT_TRUE(answer_of(**only).warm);
  EXPECT_EQ((*only)->owner(), "model/risky/sum@3");
  const auto second = made({"odds", "score", "rest"});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(answer_of(**second).score, 64);
}

TEST(ScoringVersion, IsRefusedWithoutItsInputsOrAScore) {
  const auto scoreless = made({"odds", "rest"});
  ASSERT_FALSE(scoreless.ok());
  EXPECT_THAT(scoreless.error().message,
              testing::HasSubstr("none of the outputs of the model 'sum@3' is called 'score'"));
  const auto blind = made({"score"}, false, {{"a", schema::kInt64}});
  ASSERT_FALSE(blind.ok());
  EXPECT_THAT(blind.error().message, testing::HasSubstr("'b'"));
}

TEST(ScoringVersion, AnEngineThatFailsGivesNoScoreAndStopsNothing) {
  const auto version = made({"score"}, /*fails=*/true);
  ASSERT_TRUE(version.ok());
  for (int time = 0; time < 2; ++time) {
    EXPECT_TRUE(std::isnan(answer_of(**version).score));
    EXPECT_FALSE(answer_of(**version).warm);
  }
}

}  // namespace
}  // namespace qw::serve
