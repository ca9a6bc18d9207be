// Aim: a linear model scores what its weights say, alone or among thousands, from any number of
// threads, without allocating; what its package gets wrong is said. Method: sums in long double by
// the definition; the values of the logistic function from a table.
#include "models/engines/linear/linear.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <thread>
#include <vector>

#include "base/env.h"
#include "models/engines/builtin.h"

// Counts what is allocated. Memory goes back through the library's own way, which is free(); under
// AddressSanitizer, which pairs the two, nothing is counted.
namespace {
thread_local size_t allocations = 0;
}  // namespace
#ifndef __SANITIZE_ADDRESS__
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  return std::malloc(bytes);
}
#endif

namespace qw::models {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Package package_of(size_t inputs, const std::string& weights,
                   const std::string& link = "identity") {
  Package package;
  package.model = "fraud";
  package.kind = "linear";
  package.settings = R"({"link":")" + link + R"("})";
  std::vector<schema::Field> fields;
  for (size_t input = 0; input < inputs; ++input)
    fields.push_back({"x" + std::to_string(input), schema::kDouble});
  package.inputs = schema::Schema(fields);
  package.outputs = schema::Schema({{"score", schema::kDouble}});
  package.artefacts = {Artefact::of("weights.json", weights)};
  return package;
}

std::shared_ptr<const ScoringEngine> engine_of(const Package& package) {
  auto engine = make_engine(package);
  EXPECT_TRUE(engine.ok()) << engine.error().to_string();
  return std::get<std::shared_ptr<const ScoringEngine>>(*engine);
}

// Columns over numbers that lie column by column.
std::vector<InputColumn> columns_of(const std::vector<double>& numbers, size_t rows, size_t first) {
  std::vector<InputColumn> columns;
  for (size_t at = first; at < numbers.size(); at += rows)
    columns.push_back({numbers.data() + at, nullptr});
  return columns;
}

double score_one(const ScoringEngine& engine, const std::vector<double>& row) {
  double score = 0;
  const auto columns = columns_of(row, 1, 0);
  EXPECT_TRUE(engine.score({columns, 1}, {&score, 1}).ok());
  return score;
}

struct Sample {
  static constexpr size_t kInputs = 30, kRows = 1000;
  std::vector<double> weights, values;
  std::string text = R"({"intercept":-0.75,"weights":{)";

  Sample() {
    Random random(7);
    for (size_t input = 0; input < kInputs; ++input) {
      weights.push_back(std::ldexp(random.uniform() - 0.5, static_cast<int>(input % 9) - 4));
      text += fmt::format("{}\"x{}\":{}", input == 0 ? "" : ",", input, weights.back());
    }
    text += "}}";
    for (size_t at = 0; at < kInputs * kRows; ++at) values.push_back(100 * random.uniform() - 50);
  }
};

TEST(LinearEngine, ScoresAsTheSumByItsDefinition) {
  const Sample sample;
  const auto engine = engine_of(package_of(Sample::kInputs, sample.text));
  std::vector<double> scores(Sample::kRows);
  const auto columns = columns_of(sample.values, Sample::kRows, 0);
  ASSERT_TRUE(engine->score({columns, Sample::kRows}, scores).ok());
  for (size_t row = 0; row < Sample::kRows; ++row) {
    long double sum = -0.75L, size = 0.75L;
    for (size_t input = 0; input < Sample::kInputs; ++input) {
      const long double term = static_cast<long double>(sample.weights[input]) *
                               static_cast<long double>(sample.values[input * Sample::kRows + row]);
      sum += term;
      size += std::fabs(term);
    }
    // Each of 30 products and sums rounds by half an ulp of at most `size`.
    const long double bound = 31 * size * std::numeric_limits<double>::epsilon();
    ASSERT_NEAR(scores[row], static_cast<double>(sum), static_cast<double>(bound)) << row;
  }
}

TEST(LinearEngine, ByHand) {
  const auto engine = engine_of(
      package_of(2, R"({"intercept":1,"weights":{"x1":-3,"x0":2},"missing":{"x1":0.5}})"));
  EXPECT_EQ(score_one(*engine, {4, 5}), 1 + 2 * 4 - 3 * 5);
  EXPECT_EQ(score_one(*engine, {4, kNaN}), 1 + 2 * 4 - 1.5) << "what is missing counts as 0.5";
  EXPECT_TRUE(std::isnan(score_one(*engine, {kNaN, 5}))) << "nothing was said of x0";
  EXPECT_EQ(engine->kind(), "linear");
  EXPECT_EQ(engine->outputs().field(0).name, "score");
}

TEST(LinearEngine, TheLogisticLink) {
  const auto engine = engine_of(package_of(1, R"({"intercept":0,"weights":{"x0":1}})", "logistic"));
  // 1 / (1 + e^-x) to 17 digits.
  EXPECT_EQ(score_one(*engine, {0}), 0.5);
  EXPECT_NEAR(score_one(*engine, {1}), 0.73105857863000488, 1e-16);
  EXPECT_NEAR(score_one(*engine, {-1}), 0.26894142136999512, 1e-16);
  EXPECT_NEAR(score_one(*engine, {-20}), 2.0611536181902037e-09, 1e-24);
  EXPECT_EQ(score_one(*engine, {1e308}), 1);
  EXPECT_EQ(score_one(*engine, {-1e308}), 0);
  EXPECT_TRUE(std::isnan(score_one(*engine, {kNaN})));
}

TEST(LinearEngine, ARowScoresTheSameBitsWhateverStandsBesideIt) {
  const Sample sample;
  for (const char* link : {"identity", "logistic"}) {
    const auto engine = engine_of(package_of(Sample::kInputs, sample.text, link));
    std::vector<double> all(Sample::kRows);
    ASSERT_TRUE(
        engine->score({columns_of(sample.values, Sample::kRows, 0), Sample::kRows}, all).ok());
    for (const size_t together : {1, 3, 64, 999}) {
      for (size_t first = 0; first + together <= Sample::kRows; first += together) {
        std::vector<double> part(together);
        ASSERT_TRUE(
            engine->score({columns_of(sample.values, Sample::kRows, first), together}, part).ok());
        for (size_t row = 0; row < together; ++row)
          ASSERT_EQ(std::bit_cast<uint64_t>(part[row]), std::bit_cast<uint64_t>(all[first + row]));
      }
    }
    EXPECT_TRUE(engine->score({columns_of(sample.values, Sample::kRows, 0), 0}, {}).ok());
  }
}

TEST(LinearEngine, ScoresFromManyThreadsWithoutAllocating) {
  const Sample sample;
  const auto engine = engine_of(package_of(Sample::kInputs, sample.text, "logistic"));
  const auto columns = columns_of(sample.values, Sample::kRows, 0);
  std::vector<double> expected(Sample::kRows);
  ASSERT_TRUE(engine->score({columns, Sample::kRows}, expected).ok());
  std::vector<size_t> made(4), wrong(4);
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < 4; ++thread)
      threads.emplace_back([&, thread] {
        std::vector<double> scores(Sample::kRows);
        const size_t before = allocations;
        for (int turn = 0; turn < 20; ++turn) {
          if (!engine->score({columns, Sample::kRows}, scores).ok()) ++wrong[thread];
          if (scores != expected) ++wrong[thread];
        }
        made[thread] = allocations - before;
      });
  }
  EXPECT_EQ(made, std::vector<size_t>(4, 0));
  EXPECT_EQ(wrong, std::vector<size_t>(4, 0));
}

TEST(LinearEngine, ACallOfTheWrongShapeStopsTheProcess) {
  const auto engine = engine_of(package_of(1, R"({"weights":{"x0":1}})"));
  const std::vector<double> row = {1, 2};
  double score = 0;
  EXPECT_DEATH((void)engine->score({columns_of(row, 1, 0), 1}, {&score, 1}), "inputs_.size");
  EXPECT_DEATH((void)engine->score({columns_of(row, 2, 0), 2}, {&score, 1}), "outputs_.size");
}

TEST(LinearEngine, APackageThatCannotBeServedSaysWhy) {
  const auto refused = [](const Package& package) {
    const auto engine = make_engine(package);
    EXPECT_FALSE(engine.ok());
    if (engine.ok()) return std::string();
    EXPECT_EQ(engine.error().code, ErrorCode::kBadInput);
    EXPECT_FALSE(engine.error().how_to_mend.empty());
    return engine.error().to_string();
  };
  const auto expect = [&](const Package& package, const std::string& what) {
    const std::string text = refused(package);
    EXPECT_NE(text.find(what), std::string::npos) << text;
  };
  expect(package_of(2, R"({"weights":{"x0":1}})"), "the input 'x1' has no weight");
  expect(package_of(1, R"({"weights":{"x0":1,"y0":1}})"), "there is no input 'y0'");
  expect(package_of(1, R"({"weights":{"x0":1,"y0":1}})"), "did you mean 'x0'?");
  expect(package_of(1, R"({"weights":{"x0":"1"}})"), "'x0' is \"1\"");
  expect(package_of(1, R"({"weights":[1]})"), "not a JSON object");
  expect(package_of(1, R"({"weights":{"x0":1},"bias":1})"), "there is no key 'bias'");
  expect(package_of(1, R"({"intercept":true,"weights":{"x0":1}})"), "the intercept is true");
  expect(package_of(1, R"({"weights":{"x0":1},"missing":{"x9":1}})"), "weights.json: missing");
  expect(package_of(1, "[]"), "weights.json: not a JSON object");
  expect(package_of(1, R"({"weights":{"x0":1}})", "probit"), "the link is \"probit\"");
  Package package = package_of(1, R"({"weights":{"x0":1}})");
  package.artefacts.clear();
  expect(package, "has no weights.json");
  package = package_of(1, R"({"weights":{"x0":1}})");
  package.inputs = schema::Schema({{"x0", schema::kString}});
  expect(package, "the input 'x0' is a string");
  package = package_of(1, R"({"weights":{"x0":1}})");
  package.outputs = schema::Schema();
  expect(package, "one output");
  package = package_of(1, R"({"weights":{"x0":1}})");
  package.kind = "liner";
  expect(package, "no kind of model is called 'liner'");
  expect(package, "did you mean 'linear'?");
}

}  // namespace
}  // namespace qw::models
