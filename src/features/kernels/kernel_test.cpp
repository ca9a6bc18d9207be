// Aim: an aggregate is its file and one line. Method: one that only this test knows
// (range_for_test.cpp) beside the built-in ones, measured like them: stream executor, generated SQL
// and oracle agree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "features/kernels/builtin.h"
#include "features/parity/generate.h"
#include "features/parity/parity.h"

namespace qw::features {

const AggregateKernel& range_kernel();

namespace {

AggregateTable with_range() {
  std::vector<const AggregateKernel*> kernels = builtin_aggregates().kernels();
  kernels.push_back(&range_kernel());
  return AggregateTable(std::move(kernels));
}

TEST(AggregateKernels, AFileAndALineAddOne) {
  Scenario scenario = make_fixture(3, 800).value();
  const ViewDefinition definition{
      "fix",
      "fixture",
      {"k"},
      {"10s", "5m"},
      {{"n", "count()"}, {"x", "range(x)"}, {"p", "range(p)"}, {"hi", "max(x)"}}};
  const auto source = scenario.events.rows.schema_ptr();
  scenario.view = View::compile(definition, source, 30'000'000, with_range()).value();
  scenario.derived.clear();
  scenario.inputs = expression_inputs(*source, {scenario.view});
  ParityReport report;
  ASSERT_TRUE(compare_scenario(scenario, {}, report).ok());
  EXPECT_EQ(report.outside(), 0u) << report.to_text();
  EXPECT_GT(report.rows(), 5'000u);
  EXPECT_TRUE(report.notes.empty()) << report.to_text();
}

TEST(AggregateKernels, UnknownNamesListTheKnownOnes) {
  const schema::Schema source(std::vector<schema::Field>{{"x", schema::kDouble}});
  const auto unknown = compile_aggregate("a", "range(x)", source);
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().to_string(), testing::HasSubstr("'range' is not an aggregate"));
  for (const std::string& name : builtin_aggregates().names())
    EXPECT_THAT(unknown.error().to_string(), testing::HasSubstr(name));
  EXPECT_TRUE(compile_aggregate("a", "range(x)", source, with_range()).ok());
}

TEST(AggregateKernels, NamesAreDifferentAndFormsUseThem) {
  std::vector<std::string> names = builtin_aggregates().names();
  EXPECT_EQ(names.size(), 13u);
  for (const AggregateKernel* kernel : builtin_aggregates().kernels())
    EXPECT_THAT(std::string(kernel->rules().form),
                testing::StartsWith(std::string(kernel->name()) + "("));
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

}  // namespace
}  // namespace qw::features
