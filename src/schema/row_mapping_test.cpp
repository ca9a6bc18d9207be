// Aim: rows of yesterday's schema have today's columns under their own names, and a value that
// would become another one is refused, not bent. Method: each change of a schema with the row that
// a reader of the same input would make today.
#include "schema/row_mapping.h"

#include <gtest/gtest.h>

namespace qw::schema {
namespace {

using Row = std::vector<Value>;

std::shared_ptr<const Schema> of(std::vector<Field> fields) {
  return std::make_shared<const Schema>(std::move(fields));
}

struct Change {
  const char* name;
  std::vector<Field> stored;
  Row row;
  std::vector<Field> wanted;
  Row expected;
  std::vector<size_t> unreadable = {};
};

constexpr Type kMoney{Kind::kDecimal, 12, 2};

std::vector<Change> changes() {
  const int64_t big = 9'007'199'254'740'993;  // no double has it
  return {
      {"the same",
       {{"a", kInt64}, {"b", kString}},
       {int64_t{1}, "x"},
       {{"a", kInt64}, {"b", kString}},
       {int64_t{1}, "x"}},
      {"added",
       {{"a", kInt64}},
       {int64_t{1}},
       {{"n", kString}, {"a", kInt64}, {"m", kDouble}},
       {{}, int64_t{1}, {}}},
      {"removed", {{"a", kInt64}, {"b", kString}}, {int64_t{1}, "x"}, {{"b", kString}}, {"x"}},
      {"reordered, of one type",
       {{"a", kInt64}, {"b", kInt64}},
       {int64_t{1}, int64_t{2}},
       {{"b", kInt64}, {"a", kInt64}},
       {int64_t{2}, int64_t{1}}},
      {"renamed is removed and added", {{"a", kInt64}}, {int64_t{1}}, {{"b", kInt64}}, {{}}},
      {"another letter case is another name", {{"a", kInt64}}, {int64_t{1}}, {{"A", kInt64}}, {{}}},
      {"null stays null", {{"a", kInt64}}, {{}}, {{"a", kDouble}}, {{}}},
      {"int64 as double", {{"a", kInt64}}, {int64_t{-7}}, {{"a", kDouble}}, {-7.0}},
      {"int64 as the nearest double",
       {{"a", kInt64}},
       {big},
       {{"a", kDouble}},
       {9007199254740992.0}},
      {"decimal as double", {{"a", kMoney}}, {int64_t{-1010}}, {{"a", kDouble}}, {-10.1}},
      {"a long decimal as the nearest double",
       {{"a", {Kind::kDecimal, 18, 1}}},
       {big},
       {{"a", kDouble}},
       {900719925474099.3}},
      {"decimal as a wider one",
       {{"a", kMoney}},
       {int64_t{-1999}},
       {{"a", {Kind::kDecimal, 15, 4}}},
       {int64_t{-199900}}},
      {"decimal with fewer digits before the point",
       {{"a", kMoney}},
       {int64_t{1}},
       {{"a", {Kind::kDecimal, 12, 3}}},
       {{}},
       {0}},
      {"decimal with fewer digits behind it",
       {{"a", kMoney}},
       {int64_t{1}},
       {{"a", {Kind::kDecimal, 12, 1}}},
       {{}},
       {0}},
      {"double as int64",
       {{"a", kDouble}, {"b", kBool}},
       {1.0, int64_t{1}},
       {{"b", kBool}, {"a", kInt64}},
       {int64_t{1}, {}},
       {1}},
      {"int64 as decimal", {{"a", kInt64}}, {int64_t{1}}, {{"a", kMoney}}, {{}}, {0}},
      {"number as text", {{"a", kInt64}}, {int64_t{1}}, {{"a", kString}}, {{}}, {0}},
      {"bool as int64, both eight bytes", {{"a", kBool}}, {int64_t{1}}, {{"a", kInt64}}, {{}}, {0}},
      {"timestamp as int64, both eight bytes",
       {{"a", kTimestamp}},
       {int64_t{1}},
       {{"a", kInt64}},
       {{}},
       {0}},
      {"int64 as timestamp", {{"a", kInt64}}, {int64_t{1}}, {{"a", kTimestamp}}, {{}}, {0}},
      {"bool as double", {{"a", kBool}}, {int64_t{1}}, {{"a", kDouble}}, {{}}, {0}},
  };
}

TEST(RowMapping, EachChangeIsReadByName) {
  for (const Change& change : changes()) {
    SCOPED_TRACE(change.name);
    Batch stored(of(change.stored));
    stored.append_row(change.row);
    std::string bytes;
    encode_row(stored, 0, bytes);
    const RowMapping mapping(of(change.stored), of(change.wanted));
    EXPECT_EQ(mapping.unreadable(), change.unreadable);
    Batch read(of(change.wanted));
    ASSERT_TRUE(mapping.read(bytes, read).ok());
    ASSERT_EQ(read.rows(), 1u);
    for (size_t column = 0; column < change.expected.size(); ++column)
      EXPECT_EQ(read.column(column).value_at(0), change.expected[column]) << column;
    for (size_t length = 0; length < bytes.size(); ++length) {
      Batch nothing(of(change.wanted));
      EXPECT_FALSE(mapping.read(std::string_view(bytes).substr(0, length), nothing).ok());
      EXPECT_EQ(nothing.rows(), 0u);
    }
  }
}

}  // namespace
}  // namespace qw::schema
