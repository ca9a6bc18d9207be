// Aim: an engine gets the columns it wants by name, whatever the order and company they come in,
// or nobody scores anything and the message says why. Method: small batches, with the expected
// numbers written out.
#include "models/column_mapping.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace qw::models {
namespace {

using schema::Field;
using schema::Schema;
using schema::Type;
using schema::Value;

const Type kMoney{schema::Kind::kDecimal, 12, 2};

Schema offered() {
  return Schema({{"id", schema::kString},
                 {"amount", kMoney},
                 {"card.n_1m", schema::kInt64},
                 {"ratio", schema::kDouble},
                 {"foreign", schema::kBool},
                 {"at", schema::kTimestamp},
                 {"country", schema::kString}});
}

std::vector<Value> row(double ratio) {
  return {std::string("tx1"),         int64_t{150},     int64_t{7}, ratio, int64_t{1},
          int64_t{1'764'547'200'000}, std::string("fr")};
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(ColumnMapping, FindsEachInputByNameInTheOrderOfTheEngine) {
  const Schema wanted({{"ratio", schema::kDouble},
                       {"country", schema::kString},
                       {"amount", schema::kDouble},
                       {"card.n_1m", schema::kDouble},
                       {"foreign", schema::kBool},
                       {"at", schema::kTimestamp}});
  const auto mapping = ColumnMapping::make(offered(), wanted, "the model 'fraud'");
  ASSERT_TRUE(mapping.ok()) << mapping.error().to_string();
  EXPECT_EQ(mapping->columns(), (std::vector<size_t>{3, 6, 1, 2, 4, 5}));
  InputBlock block(wanted, 1);
  const auto values = row(0.25);
  mapping->fill(values, block);
  const InputRows rows = block.rows();
  ASSERT_EQ(rows.count, 1u);
  ASSERT_EQ(rows.columns.size(), 6u);
  EXPECT_EQ(*rows.columns[0].numbers, 0.25);
  EXPECT_EQ(*rows.columns[1].texts, "fr");
  EXPECT_EQ(rows.columns[1].numbers, nullptr);
  EXPECT_EQ(*rows.columns[2].numbers, 1.5) << "a decimal is its value";
  EXPECT_EQ(*rows.columns[3].numbers, 7);
  EXPECT_EQ(*rows.columns[4].numbers, 1);
  EXPECT_EQ(*rows.columns[5].numbers, 1'764'547'200'000);
  EXPECT_EQ(rows.columns[5].texts, nullptr);
}

TEST(ColumnMapping, TakesPartOfABatchAndUsesItsRoomAgain) {
  schema::Batch batch(std::make_shared<const Schema>(offered()));
  for (int index = 0; index < 200; ++index) batch.append_row(row(index));
  const Schema wanted({{"country", schema::kString}, {"ratio", schema::kDouble}});
  const auto mapping = ColumnMapping::make(offered(), wanted, "a model");
  ASSERT_TRUE(mapping.ok());
  InputBlock block(wanted, 70);
  const double* place = nullptr;
  for (size_t first = 0; first < 200; first += 70) {
    const size_t count = std::min<size_t>(70, 200 - first);
    mapping->fill(batch, first, count, block);
    const InputRows rows = block.rows();
    ASSERT_EQ(rows.count, count);
    for (size_t at = 0; at < count; ++at) {
      ASSERT_EQ(rows.columns[1].numbers[at], static_cast<double>(first + at));
      ASSERT_EQ(rows.columns[0].texts[at], "fr");
    }
    EXPECT_TRUE(place == nullptr || place == rows.columns[1].numbers) << "it moved";
    place = rows.columns[1].numbers;
  }
}

TEST(ColumnMapping, WhatIsNullOrNoNumberIsMissing) {
  const Schema wanted(
      {{"ratio", schema::kDouble}, {"amount", kMoney}, {"country", schema::kString}});
  const auto mapping = ColumnMapping::make(offered(), wanted, "a model");
  ASSERT_TRUE(mapping.ok());
  schema::Batch batch(std::make_shared<const Schema>(offered()));
  InputBlock block(wanted, 8);
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double none : {kNaN, infinity, -infinity}) batch.append_row(row(none));
  batch.append_row(std::vector<Value>(7));
  for (size_t at = 0; at < 4; ++at) {
    mapping->fill(batch, at, 1, block);
    EXPECT_TRUE(std::isnan(*block.rows().columns[0].numbers)) << at;
    std::vector<Value> values;
    for (size_t column = 0; column < 7; ++column)
      values.push_back(batch.column(column).value_at(at));
    mapping->fill(values, block);
    EXPECT_TRUE(std::isnan(*block.rows().columns[0].numbers)) << at;
  }
  EXPECT_TRUE(std::isnan(*block.rows().columns[1].numbers));
  EXPECT_EQ(block.rows().columns[2].texts->data(), nullptr);
  mapping->fill(batch, 3, 1, block);
  EXPECT_TRUE(std::isnan(*block.rows().columns[1].numbers));
  EXPECT_EQ(block.rows().columns[2].texts->data(), nullptr);
  auto empty = row(1);
  empty[6] = std::string();
  mapping->fill(empty, block);
  EXPECT_NE(block.rows().columns[2].texts->data(), nullptr) << "an empty text is not missing";
}

TEST(ColumnMapping, EveryNullOfABatchIsMissingAndNothingElse) {
  const Schema one({{"n", schema::kInt64}});
  const Schema wanted({{"n", schema::kDouble}});
  const auto mapping = ColumnMapping::make(one, wanted, "a model");
  ASSERT_TRUE(mapping.ok());
  const auto is_null = [](size_t row) {
    return row == 63 || row == 64 || row == 200 || row == 299;
  };
  schema::Batch batch(std::make_shared<const Schema>(one));
  for (size_t row = 0; row < 300; ++row)
    batch.append_row({is_null(row) ? Value() : Value(static_cast<int64_t>(row))});
  InputBlock block(wanted, 300);
  for (const size_t first : {0, 1, 63, 64, 100, 140, 256})
    for (const size_t count : {size_t{0}, size_t{1}, size_t{44}, 300 - first}) {
      if (first + count > 300) continue;
      mapping->fill(batch, first, count, block);
      for (size_t row = 0; row < count; ++row) {
        const double got = block.rows().columns[0].numbers[row];
        if (is_null(first + row))
          ASSERT_TRUE(std::isnan(got)) << first << '+' << row;
        else
          ASSERT_EQ(got, static_cast<double>(first + row));
      }
    }
}

TEST(ColumnMapping, AMissingInputIsNamedWithTheNearestThatIs) {
  const auto mapping = ColumnMapping::make(
      offered(), Schema({{"ratio", schema::kDouble}, {"card.n_1min", schema::kInt64}}),
      "the model 'fraud@3'");
  ASSERT_FALSE(mapping.ok());
  EXPECT_EQ(mapping.error().code, ErrorCode::kBadInput);
  EXPECT_EQ(mapping.error().message,
            "the model 'fraud@3' wants the input 'card.n_1min' (int64), which is not offered");
  EXPECT_EQ(mapping.error().how_to_mend, "did you mean 'card.n_1m'?");
}

TEST(ColumnMapping, AWrongTypeIsNamed) {
  const auto refused = [](const Field& wanted) {
    const auto mapping = ColumnMapping::make(offered(), Schema({wanted}), "the model 'fraud'");
    return mapping.ok() ? std::string() : mapping.error().message;
  };
  EXPECT_EQ(refused({"country", schema::kDouble}),
            "the model 'fraud' wants the input 'country' as double, and it is offered as string");
  EXPECT_EQ(refused({"ratio", schema::kInt64}),
            "the model 'fraud' wants the input 'ratio' as int64, and it is offered as double");
  EXPECT_NE(refused({"amount", Type{schema::Kind::kDecimal, 12, 1}}), "");
  EXPECT_NE(refused({"at", schema::kInt64}), "");
  EXPECT_EQ(refused({"amount", Type{schema::Kind::kDecimal, 14, 3}}), "") << "a wider decimal";
}

}  // namespace
}  // namespace qw::models
