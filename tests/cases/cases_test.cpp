// Aim: features mean what docs/reference/semantics.md says, on every executor. Method: each file of
// this folder states a definition, events, reads and one expected answer; the stream executor,
// generated SQL on DuckDB and the naive oracle must all give it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "case_file.h"
#include "features/cell_text.h"
#include "features/parity/compare.h"
#include "features/parity/executors.h"

namespace qw::cases {
namespace {

std::vector<std::string> case_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(QW_CASES_DIR))
    if (entry.path().extension() == ".case") files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

std::string name_of_case(const testing::TestParamInfo<std::string>& info) {
  const auto relative = std::filesystem::relative(info.param, QW_CASES_DIR).string();
  std::string name;
  for (const char c : relative.substr(0, relative.size() - 5))
    name.push_back(std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_');
  return name;
}

class Cases : public testing::TestWithParam<std::string> {
 protected:
  // True when the answer is the expected one; else says which executor said what, on which inputs.
  static void check(const CaseFile& test, const char* executor, const features::Answers& answers,
                    const std::vector<double>& bounds) {
    const auto& output = *test.scenario.view->output();
    for (size_t read = 0; read < test.expected.size(); ++read) {
      for (const Expected& expected : test.expected[read]) {
        const auto index = output.index_of(expected.name);
        const schema::Column& column =
            index ? answers.features.column(*index)
                  : answers.derived.column(*answers.derived.schema().index_of(expected.name));
        const size_t at = read * output.size() + index.value_or(0);
        const double bound = index && !bounds.empty() ? bounds[at] : 0;
        const features::Cell got = features::cell_at(column, read);
        const features::Cell want = features::cell_of(expected.value);
        const bool near = !got.null && !want.null && column.type() == schema::kDouble &&
                          std::fabs(got.d - want.d) <= bound;
        const std::string got_text = features::text_of(got, column.type());
        const std::string want_text = features::text_of(want, column.type());
        EXPECT_TRUE(near || got_text == want_text)
            << executor << " answers " << expected.name << " = " << got_text << ", expected "
            << want_text << " (allowed " << bound << ")\n"
            << features::describe_read(test.scenario, read);
        if (index && !answers.statuses.empty()) {
          EXPECT_EQ(features::name_of(answers.statuses[at]),
                    expected.status.empty() ? "present" : expected.status)
              << expected.name << "\n"
              << features::describe_read(test.scenario, read);
        }
      }
    }
  }
};

TEST_P(Cases, AllExecutorsGiveTheOneAnswer) {
  const auto test = read_case_file(GetParam());
  ASSERT_TRUE(test.ok()) << test.error().to_string();
  const features::Scenario& scenario = test->scenario;
  const features::Answers stream = features::answer_by_stream(scenario);
  const schema::Batch inputs = features::inputs_of(scenario, stream);
  const auto duckdb = features::answer_by_duckdb(scenario, inputs, {256, 1});
  ASSERT_TRUE(duckdb.ok()) << duckdb.error().to_string();
  check(*test, "stream", stream, duckdb->bounds);
  check(*test, "duckdb", *duckdb, duckdb->bounds);
  std::vector<size_t> all;
  for (size_t i = 0; i < scenario.reads.size(); ++i) all.push_back(i);
  const auto oracle = features::answer_by_oracle(scenario, inputs, all);
  EXPECT_EQ(oracle.ok(), test->no_oracle.empty())
      << (oracle.ok() ? "the oracle can take part: remove no_oracle" : oracle.error().to_string());
  if (oracle.ok()) check(*test, "oracle", *oracle, oracle->bounds);
}

INSTANTIATE_TEST_SUITE_P(Files, Cases, testing::ValuesIn(case_files()), name_of_case);

TEST(CaseFiles, ThereAreAtLeastSixty) { EXPECT_GE(case_files().size(), 60u); }

}  // namespace
}  // namespace qw::cases
