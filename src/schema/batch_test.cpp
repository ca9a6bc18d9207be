// Aim: a row or record that is written is read back bit for bit; damaged bytes are refused, never
// misread.
#include "schema/batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "schema/records.h"

namespace qw::schema {
namespace {

std::shared_ptr<const Schema> all_kinds() {
  return std::make_shared<Schema>(std::vector<Field>{{"b", kBool},
                                                     {"i", kInt64},
                                                     {"d", kDouble},
                                                     {"s", kString},
                                                     {"t", kTimestamp},
                                                     {"m", {Kind::kDecimal, 12, 2}}});
}

std::vector<std::vector<Value>> sample_rows() {
  return {{int64_t{1}, std::numeric_limits<int64_t>::min(), -0.0, std::string("é"), int64_t{-1},
           int64_t{1999}},
          {{}, {}, {}, {}, {}, {}},
          {int64_t{0}, int64_t{7}, std::numeric_limits<double>::denorm_min(), std::string(),
           int64_t{0}, int64_t{-5}}};
}

TEST(Batch, RowsSurviveEncoding) {
  Batch written(all_kinds());
  for (const auto& row : sample_rows()) written.append_row(row);
  Batch read(all_kinds());
  for (size_t row = 0; row < written.rows(); ++row) {
    std::string bytes;
    encode_row(written, row, bytes);
    ASSERT_TRUE(decode_row(bytes, read).ok());
  }
  ASSERT_EQ(read.rows(), 3u);
  for (size_t row = 0; row < 3; ++row)
    for (size_t column = 0; column < 6; ++column)
      EXPECT_EQ(read.column(column).value_at(row), written.column(column).value_at(row));
  EXPECT_TRUE(std::signbit(read.column(2).double_at(0)));
  EXPECT_DOUBLE_EQ(read.column(5).number_at(0), 19.99);
}

TEST(Batch, EveryShortenedRowIsRefused) {
  Batch batch(all_kinds());
  batch.append_row(sample_rows()[0]);
  std::string bytes;
  encode_row(batch, 0, bytes);
  for (size_t length = 0; length < bytes.size(); ++length) {
    Batch read(all_kinds());
    EXPECT_FALSE(decode_row(std::string_view(bytes).substr(0, length), read).ok()) << length;
    EXPECT_EQ(read.rows(), 0u);
  }
}

TEST(Records, DecisionSurvivesEncoding) {
  DecisionRecord decision;
  decision.decision = "screen";
  decision.key = "cpu|total";
  decision.event_seq = Seq{9};
  decision.features = {1.5, {}, std::string("x"), int64_t{-3}};
  decision.inputs = {0.1 + 0.2};
  decision.score = 3.75;
  decision.contributions = {1.0, 2.75};
  decision.outputs = {std::string("page")};
  std::string bytes;
  encode_decision(decision, bytes);
  const auto read = decode_decision(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->key, "cpu|total");
  EXPECT_EQ(read->features, decision.features);
  EXPECT_EQ(read->inputs, decision.inputs);
  EXPECT_EQ(read->contributions, decision.contributions);
  EXPECT_EQ(read->outputs, decision.outputs);
}

TEST(Records, AnyFlippedBitIsNoticed) {
  std::string bytes;
  encode_event({PartitionId{2}, Seq{3}, EventTime{4}, KnownAt{5}, EventStatus::kOk}, 6, "row",
               bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_event(damaged).ok()) << "bit " << bit;
  }
}

TEST(Types, ParseAndPrintAgree) {
  for (const char* text : {"bool", "int64", "double", "string", "timestamp", "decimal(18,4)"})
    EXPECT_EQ(parse_type(text).value().to_string(), text);
  for (const char* text : {"", "float", "decimal", "decimal(19,0)", "decimal(4,5)", "decimal(4,2)x",
                           "decimal(4", "decimal("})
    EXPECT_FALSE(parse_type(text).ok()) << text;
}

}  // namespace
}  // namespace qw::schema
