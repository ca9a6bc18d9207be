// Aim: a stored value is never given another's name. Records with a schema have its names, whatever
// the application has now; records of before schemas get names only where they can be meant. A
// model that reads stored decisions finds its input by name or learns nothing. Method: a real
// store, and records of version 1 spelled out byte by byte.
#include "app/runtime/record_names.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/bytes.h"
#include "serve/stored_input.h"

namespace qw::app {
namespace {

using schema::DecisionRecord;
using schema::DecisionSchema;
using schema::Field;
using schema::Value;

// As the first version wrote it.
std::string version_one(const DecisionRecord& record) {
  std::string body;
  ByteWriter writer(body);
  const auto values = [&](const std::vector<Value>& list) {
    writer.varint(list.size());
    for (const Value& value : list) {
      writer.u8(static_cast<uint8_t>(value.index()));
      if (const auto* number = std::get_if<int64_t>(&value)) writer.i64(*number);
      if (const auto* number = std::get_if<double>(&value)) writer.f64(*number);
      if (const auto* text = std::get_if<std::string>(&value)) writer.text(*text);
    }
  };
  writer.text(record.decision);
  writer.text(record.key);
  writer.u32(1);
  writer.u64(9);
  writer.i64(5);
  writer.i64(6);
  writer.text("m@0");
  values(record.features);
  values(record.inputs);
  writer.f64(0.5);
  writer.u8(1);
  writer.varint(record.contributions.size());
  for (const double part : record.contributions) writer.f64(part);
  values(record.outputs);
  std::string sealed;
  seal_record(2, 1, body, sealed);
  return sealed;
}

DecisionRecord record_of(std::vector<Value> features, std::vector<Value> inputs) {
  DecisionRecord record;
  record.decision = "d";
  record.key = "a";
  record.features = std::move(features);
  record.inputs = std::move(inputs);
  record.contributions = {0.25, 0.25};
  record.outputs = {std::string("yes")};
  return record;
}

const DecisionSchema kFirst{{{"k", schema::kString}},
                            {{"v.n", schema::kInt64}, {"v.t", schema::kInt64}},
                            {{"y", schema::kDouble}},
                            {"one", "two"},
                            {{"word", schema::kString}}};

class RecordNamesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        (std::filesystem::temp_directory_path() / fmt::format("qw_names_{}", ::getpid())).string();
    std::filesystem::remove_all(folder_);
    store::StoreOptions options;
    options.folder = folder_;
    store_ = store::Store::open(options, metrics_).value();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  uint64_t stored(const DecisionSchema& schema) {
    store::Txn txn;
    const uint64_t id = store::stage_schema(schema, txn);
    EXPECT_TRUE(store_->commit(txn, store::Durability::kProcess).ok());
    return id;
  }

  std::string folder_;
  MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(RecordNamesTest, ARecordHasTheNamesItWasWrittenWith) {
  DecisionRecord record = record_of({int64_t{1}, int64_t{2}}, {1.5});
  record.schema_id = stored(kFirst);
  DecisionSchema now = kFirst;
  std::swap(now.features[0],
            now.features[1]);  // of one type: nothing but the name tells them apart
  const auto named = DecisionNames(*store_).of(record, &now);
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(*named->schema, kFirst);
  EXPECT_EQ(named->from, NamesFrom::kSchema);
  EXPECT_EQ(*DecisionNames(*store_).of(record, nullptr)->schema, kFirst);
}

TEST_F(RecordNamesTest, AnOldRecordIsNamedWhereItFitsAndElseNot) {
  const auto old = schema::decode_decision(version_one(record_of({int64_t{1}, {}}, {1.5}))).value();
  DecisionNames names(*store_);
  auto named = names.of(old, &kFirst).value();
  EXPECT_EQ(named.from, NamesFrom::kPlan);
  EXPECT_EQ(named.schema->features, kFirst.features);
  EXPECT_EQ(named.schema->members, kFirst.members);
  DecisionSchema now = kFirst;
  now.features.push_back({"v.more", schema::kInt64});
  named = names.of(old, &now).value();
  EXPECT_EQ(named.from, NamesFrom::kNowhere);
  ASSERT_EQ(named.schema->features.size(), 2u);
  EXPECT_EQ(named.schema->features[1].name, "unnamed_2");
  EXPECT_EQ(named.schema->inputs, kFirst.inputs);  // each list for itself
  now = kFirst;
  now.features[0].type = schema::kString;
  EXPECT_EQ(names.of(old, &now)->from, NamesFrom::kNowhere);
  EXPECT_TRUE(names.of(old, nullptr)->schema->fits(old));
  EXPECT_EQ(names.of(old, nullptr)->from, NamesFrom::kNowhere);
}

// A folder that lost a schema, or a damaged id: no name is made up.
TEST_F(RecordNamesTest, AnUnknownSchemaNamesNothing) {
  DecisionRecord record = record_of({int64_t{1}, int64_t{2}}, {1.5});
  record.schema_id = 77;
  const auto named = DecisionNames(*store_).of(record, &kFirst).value();
  EXPECT_EQ(named.from, NamesFrom::kNowhere);
  EXPECT_EQ(named.schema->inputs[0].name, "unnamed_1");
}

TEST_F(RecordNamesTest, AModelFindsItsInputByNameOrLearnsNothing) {
  DecisionRecord record = record_of({int64_t{150}, int64_t{2}}, {1.5});
  DecisionSchema money = kFirst;
  money.features[0].type = {schema::Kind::kDecimal, 9, 2};
  record.schema_id = stored(money);
  const auto reads = [&](const char* key, const char* name, schema::Type type) {
    const serve::StoredInput input(*store_, {{{key, schema::kString}}, Field{name, type}});
    const auto found = input.of(record).value();
    return found ? found->value : std::nan("");
  };
  EXPECT_EQ(reads("k", "y", schema::kDouble), 1.5);
  EXPECT_EQ(reads("k", "v.t", schema::kInt64), 2);  // a feature then, an input now
  EXPECT_EQ(reads("k", "v.n", schema::kDouble), 1.5);
  EXPECT_EQ(reads("k", "v.n", (schema::Type{schema::Kind::kDecimal, 12, 3})), 1500);
  EXPECT_TRUE(std::isnan(reads("k", "z", schema::kDouble)));
  EXPECT_TRUE(std::isnan(reads("shop", "y", schema::kDouble)));  // of other series
  record.inputs = {Value()};
  const serve::StoredInput input(*store_, {{{"k", schema::kString}}, Field{"y", schema::kDouble}});
  ASSERT_TRUE(input.of(record).value());  // a missing value is an observation, too
  EXPECT_TRUE(std::isnan(input.of(record).value()->value));
}

TEST_F(RecordNamesTest, AnOldRecordTeachesByItsOnlyInput) {
  const auto old = schema::decode_decision(version_one(record_of({}, {1.5}))).value();
  const serve::StoredInput input(*store_, {{{"k", schema::kString}}, Field{"y", schema::kDouble}});
  ASSERT_TRUE(input.of(old).value());
  EXPECT_EQ(input.of(old).value()->value, 1.5);
  EXPECT_EQ(input.of(old).value()->event_time_us, 5);
}

}  // namespace
}  // namespace qw::app
