// Aim: what an older version stored is read for ever, and what stands in a record is found under
// its name. Method: bytes as they were written, spelled out here, and not made by the encoder under
// test.
#include "schema/records.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "schema/stored_schema.h"

namespace qw::schema {
namespace {

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16)));
  return bytes;
}

std::string hex_of(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(byte) >> 4];
    hex += kDigits[static_cast<uint8_t>(byte) & 15];
  }
  return hex;
}

DecisionRecord golden() {
  DecisionRecord record;
  record.decision = "screen";
  record.key = "c1";
  record.partition = PartitionId{2};
  record.event_seq = Seq{9};
  record.as_of = EventTime{1'700'000'000'000'000};
  record.decided_at = KnownAt{1'700'000'000'000'001};
  record.model = "m";
  record.version = 3;
  record.features = {1.5, {}, int64_t{-3}};
  record.inputs = {1.5};
  record.score = 3.75;
  record.warm = false;
  record.contributions = {1.0, 2.75};
  record.outputs = {std::string("page")};
  return record;
}

DecisionSchema golden_schema() {
  return {{{"card", kString}},
          {{"v.mean_1m", kDouble}, {"v.last_1m", kString}, {"v.spent_1m", {Kind::kDecimal, 12, 2}}},
          {{"value", kDouble}},
          {"knn", "seasonal"},
          {{"word", kString}}};
}

// magic, kind, version, checksum; then the fields in their order.
constexpr std::string_view kVersion1 =
    "510201e16e94a30673637265656e02633102000000090000000000000000401e18240a060001401e18240a06"
    "00036d40330302000000000000f83f0001fdffffffffffffff0102000000000000f83f0000000000000e4000"
    "02000000000000f03f000000000000064001030470616765";
constexpr std::string_view kVersion2 =
    "5102024d6ed9130673637265656e02633102000000090000000000000000401e18240a060001401e18240a06"
    "00036d40330302000000000000f83f0001fdffffffffffffff0102000000000000f83f0000000000000e4000"
    "02000000000000f03f000000000000064001030470616765efcdab89674523010201030204";
constexpr std::string_view kVersion3 =
    "5102038145076b0673637265656e02633102000000090000000000000000401e18240a060001401e18240a06"
    "00016d04030302000000000000f83f0001fdffffffffffffff0102000000000000f83f0000000000000e4000"
    "02000000000000f03f000000000000064001030470616765efcdab896745230100";
constexpr std::string_view kVersion3Full =
    "510203b61b44830673637265656e02633102000000090000000000000000401e18240a060001401e18240a06"
    "00016d3f03722d31030162000000000000d03f020208ac02c0843d0302000000000000f83f0001fdffffffff"
    "ffffff0102000000000000f83f0000000000000e400002000000000000f03f00000000000006400103047061"
    "6765efcdab896745230100";
constexpr std::string_view kDecisionSchema =
    "510601065e2a150104636172640400000309762e6d65616e5f316d03000009762e6c6173745f316d0400000a"
    "762e7370656e745f316d060c02010576616c756503000002036b6e6e08736561736f6e616c0104776f726404"
    "0000";
constexpr std::string_view kRowsSchema =
    "510501bde6b08b0309762e6d65616e5f316d03000009762e6c6173745f316d0400000a762e7370656e745f31"
    "6d060c02";

void expect_golden(const DecisionRecord& read) {
  const DecisionRecord want = golden();
  EXPECT_EQ(read.decision, want.decision);
  EXPECT_EQ(read.key, want.key);
  EXPECT_EQ(read.partition, want.partition);
  EXPECT_EQ(read.event_seq, want.event_seq);
  EXPECT_EQ(read.as_of, want.as_of);
  EXPECT_EQ(read.decided_at, want.decided_at);
  EXPECT_EQ(read.served_by(), "m@3");
  EXPECT_EQ(read.model, want.model);
  EXPECT_EQ(read.version, want.version);
  EXPECT_FALSE(read.fallback);
  EXPECT_EQ(read.features, want.features);
  EXPECT_EQ(read.inputs, want.inputs);
  EXPECT_EQ(read.score, want.score);
  EXPECT_EQ(read.warm, want.warm);
  EXPECT_EQ(read.contributions, want.contributions);
  EXPECT_EQ(read.outputs, want.outputs);
}

TEST(Records, DecisionsOfVersionOneAreRead) {
  const auto read = decode_decision(bytes_of(kVersion1));
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  expect_golden(*read);
  EXPECT_EQ(read->schema_id, 0u);
  EXPECT_TRUE(read->statuses.empty());
  EXPECT_EQ(decision_key(bytes_of(kVersion1)).value(), "c1");
}

TEST(Records, DecisionsOfVersionTwoAreReadWithTheirSchemaAndStatuses) {
  const auto read = decode_decision(bytes_of(kVersion2));
  ASSERT_TRUE(read.ok()) << read.error().to_string();
  expect_golden(*read);
  EXPECT_EQ(read->schema_id, 0x0123456789ABCDEFu);
  using enum FeatureStatus;
  EXPECT_EQ(read->statuses, (std::vector<FeatureStatus>{kPresent, kHotKey, kIncomplete}));
  EXPECT_EQ(read->trigger, Trigger::kEvent);
  EXPECT_TRUE(read->known.empty());
}

TEST(Records, DecisionsOfVersionThreeAreTheGoldenBytes) {
  DecisionRecord record = golden();
  record.schema_id = 0x0123456789ABCDEF;
  std::string plain, full;
  encode_decision(record, plain);
  EXPECT_EQ(hex_of(plain), kVersion3);
  const auto of_event = decode_decision(bytes_of(kVersion3));
  ASSERT_TRUE(of_event.ok()) << of_event.error().to_string();
  expect_golden(*of_event);
  EXPECT_EQ(of_event->propensity, 1);
  record.trigger = Trigger::kRequest;
  record.id = "r-1";
  record.fallback = true;
  record.variant = "b";
  record.propensity = 0.25;
  record.known = {{PartitionId{2}, Seq{8}}, {PartitionId{300}, Seq{1'000'000}}};
  encode_decision(record, full);
  EXPECT_EQ(hex_of(full), kVersion3Full);
  const auto of_request = decode_decision(bytes_of(kVersion3Full));
  ASSERT_TRUE(of_request.ok()) << of_request.error().to_string();
  EXPECT_EQ(of_request->trigger, Trigger::kRequest);
  EXPECT_EQ(of_request->id, "r-1");
  EXPECT_EQ(of_request->served_by(), "m@3 (fallback)");
  EXPECT_EQ(of_request->variant, "b");
  EXPECT_EQ(of_request->propensity, 0.25);
  EXPECT_EQ(of_request->known, record.known);
  EXPECT_EQ(decision_key(full).value(), "c1");
}

// What records of before said of who answered, in words.
TEST(Records, TheWordsOfOldRecordsBecomeFields) {
  struct Words {
    const char* text;
    const char* model;
    std::optional<int64_t> version;
    bool fallback;
  };
  for (const Words& words : {Words{"m@0", "m", 0, false}, Words{"limits", "limits", {}, false},
                             Words{"m@12 (fallback)", "m", 12, true}}) {
    // As kVersion2 is, up to the text.
    std::string body;
    ByteWriter writer(body);
    writer.text("screen");
    writer.text("c1");
    writer.u32(2);
    writer.u64(9);
    writer.i64(1);
    writer.i64(2);
    writer.text(words.text);
    writer.varint(0);
    writer.varint(0);
    writer.f64(0.5);
    writer.u8(1);
    writer.varint(0);
    writer.varint(0);
    writer.u64(7);
    writer.varint(0);
    std::string bytes;
    seal_record(2, 2, body, bytes);
    const auto read = decode_decision(bytes);
    ASSERT_TRUE(read.ok()) << words.text << ": " << read.error().to_string();
    EXPECT_EQ(read->model, words.model);
    EXPECT_EQ(read->version, words.version);
    EXPECT_EQ(read->fallback, words.fallback);
    EXPECT_EQ(read->served_by(), words.text);
  }
}

// What costs nothing when nothing is wrong: eight bytes for the id and one for "all present".
TEST(Records, SchemaAndStatusesAreSmall) {
  std::string plain, marked;
  DecisionRecord record = golden();
  encode_decision(record, plain);
  EXPECT_EQ(plain.size(), bytes_of(kVersion1).size() + 9);
  record.statuses.assign(record.features.size(), FeatureStatus::kPresent);
  encode_decision(record, marked);
  EXPECT_EQ(marked, plain);
  EXPECT_TRUE(decode_decision(marked).value().statuses.empty());
  record.statuses[1] = FeatureStatus::kHotKey;
  marked.clear();
  encode_decision(record, marked);
  EXPECT_EQ(marked.size(), plain.size() + 2);
  EXPECT_EQ(decode_decision(marked).value().statuses, record.statuses);
}

TEST(Records, AStatusOfAFeatureThatIsNotThereIsDamage) {
  DecisionRecord record = golden();
  record.features.clear();
  record.statuses = {FeatureStatus::kHotKey};
  std::string bytes;
  encode_decision(record, bytes);
  EXPECT_FALSE(decode_decision(bytes).ok());
}

TEST(Records, ANewerDecisionIsRefusedAsNewer) {
  std::string bytes;
  seal_record(2, 4, "", bytes);
  EXPECT_EQ(decode_decision(bytes).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(decision_key(bytes).error().code, ErrorCode::kUnsupported);
}

TEST(StoredSchemas, BytesAreTheGoldenOnes) {
  const auto decision = decode_decision_schema(bytes_of(kDecisionSchema));
  ASSERT_TRUE(decision.ok()) << decision.error().to_string();
  EXPECT_EQ(*decision, golden_schema());
  std::string again;
  encode_decision_schema(golden_schema(), again);
  EXPECT_EQ(hex_of(again), kDecisionSchema);
  const auto rows = decode_schema(bytes_of(kRowsSchema));
  ASSERT_TRUE(rows.ok()) << rows.error().to_string();
  EXPECT_EQ(*rows, Schema(golden_schema().features));
  again.clear();
  encode_schema(*rows, again);
  EXPECT_EQ(hex_of(again), kRowsSchema);
}

// Every change that moves a value to another name is another schema.
TEST(StoredSchemas, AnyChangeIsAnotherId) {
  const DecisionSchema first = golden_schema();
  std::vector<DecisionSchema> others(8, first);
  std::swap(others[0].features[0], others[0].features[1]);
  others[1].features[0].name += "x";
  others[2].features[2].type.scale = 3;
  others[3].features.pop_back();
  std::swap(others[4].members[0], others[4].members[1]);
  others[5].inputs.push_back(others[5].outputs.back());  // from one list to the one beside it
  others[5].outputs.clear();
  others[6].outputs.push_back({"more", kInt64});
  others[7].key[0].name = "shop";
  for (size_t at = 0; at < others.size(); ++at) {
    EXPECT_NE(others[at].id(), first.id()) << at;
    for (size_t other = 0; other < at; ++other) EXPECT_NE(others[at].id(), others[other].id());
  }
}

// What a record of version 1, which names nothing, is measured by.
TEST(StoredSchemas, ARecordFitsByCountAndType) {
  const DecisionSchema schema = golden_schema();
  EXPECT_TRUE(schema.fits(golden()));
  DecisionRecord record = golden();
  record.contributions.clear();
  EXPECT_TRUE(schema.fits(record));
  record.contributions = {1.0};
  EXPECT_FALSE(schema.fits(record));
  record = golden();
  record.features.pop_back();
  EXPECT_FALSE(schema.fits(record));
  record = golden();
  record.features[0] = int64_t{1};
  EXPECT_FALSE(schema.fits(record));
  record = golden();
  record.outputs[0] = 1.0;
  EXPECT_FALSE(schema.fits(record));
}

}  // namespace
}  // namespace qw::schema
