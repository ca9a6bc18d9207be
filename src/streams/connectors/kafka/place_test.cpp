// Aim: a saved place is used only where it still is what it was. Method: places, ranges and groups
// as a broker could show them, with the beginning worked out by hand; texts with flipped bytes;
// settings as a user would write them.
#include "streams/connectors/kafka/place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "streams/connectors/kafka/config.h"

namespace qw::streams::kafka {
namespace {

using testing::HasSubstr;

Place place(int64_t offset, int64_t base = 0, std::optional<Print> last = Print{7, 9}) {
  return {offset, base, last, "tx"};
}

Begin begin(std::optional<Place> ours, std::optional<Place> groups, Range range,
            Start start = Start::kEarliest, bool first = false) {
  return begin_at({std::move(ours), std::move(groups), range, first}, "tx", start);
}

TEST(KafkaPlace, IsReadBackAsWritten) {
  for (const Place& written : {place(0), place(17, 5), place(17, 0, std::nullopt),
                               Place{3, 4, Print{-1, UINT64_MAX}, "a b"}}) {
    const auto read = parse_place(encode(written));
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(read->offset, written.offset);
    EXPECT_EQ(read->base, written.base);
    EXPECT_EQ(read->last, written.last);
    EXPECT_EQ(read->topic, written.topic);
    const Place groups = parse_metadata(written.offset, encode_metadata(written));
    EXPECT_EQ(groups.base, written.base);
    EXPECT_EQ(groups.last, written.last);
  }
  EXPECT_EQ(encode({4711, 12, Print{1700000000000, 0xfeed}, "tx"}),
            "kafka1 63f0dd18ac1d0d7d 4711 12 1700000000000 000000000000feed tx");
}

TEST(KafkaPlace, BareOffsetsOfEarlierVersionsAreRead) {
  EXPECT_EQ(parse_place("4711")->offset, 4711);
  EXPECT_EQ(parse_place("4711")->topic, "");
  EXPECT_FALSE(parse_place("4711")->last);
  for (const char* damaged : {"", "-1", "12x", "kafka1", "kafka1 0 1 2 - - tx"})
    EXPECT_FALSE(parse_place(damaged).ok()) << damaged;
  std::string flipped = encode(place(17, 5));
  for (size_t at = 0; at < flipped.size(); ++at) {
    flipped[at] ^= 1;
    EXPECT_FALSE(parse_place(flipped).ok()) << flipped;
    flipped[at] ^= 1;
  }
}

TEST(KafkaPlace, MetadataOfOthersSaysNothing) {
  for (const char* text : {"", "reset by hand", "kafka1 0 17 5 - -"}) {
    EXPECT_EQ(parse_metadata(17, text).offset, 17);
    EXPECT_EQ(parse_metadata(17, text).base, 0);
  }
  // An offset that was moved by hand beside metadata that stayed.
  EXPECT_EQ(parse_metadata(3, encode_metadata(place(17, 5))).base, 0);
}

TEST(KafkaPlace, TheLaterOfOursAndTheGroupsIsUsed) {
  EXPECT_EQ(begin(place(10), place(20), {0, 30}).at.offset, 20);
  EXPECT_EQ(begin(place(20), place(10), {0, 30}).at.offset, 20);
  EXPECT_EQ(begin(std::nullopt, place(10), {0, 30}).at.offset, 10);
  // An offset set by hand counts in our own positions.
  EXPECT_EQ(begin(place(20, 100), place(25, 0, std::nullopt), {0, 30}).at.position(), 125);
  // What another member saw first.
  EXPECT_EQ(begin(place(20), place(5, 1'000), {0, 30}).at.position(), 1'005);
}

TEST(KafkaPlace, ARecordThatWasReadIsAskedForAgain) {
  EXPECT_TRUE(begin(place(20), std::nullopt, {0, 30}).verify);
  EXPECT_TRUE(begin(place(20), std::nullopt, {0, 20}).verify);
  EXPECT_FALSE(begin(place(20), std::nullopt, {20, 30}).verify) << "it is gone";
  EXPECT_FALSE(begin(place(20, 0, std::nullopt), std::nullopt, {0, 30}).verify);
}

TEST(KafkaPlace, WhatRetentionRemovedIsCounted) {
  const Begin at = begin(place(20), std::nullopt, {50, 80});
  EXPECT_EQ(at.why, Why::kRetention);
  EXPECT_EQ(at.at.offset, 50);
  EXPECT_EQ(at.missed, 30);
  EXPECT_THAT(describe(at, place(20), "tx[3]"), HasSubstr("tx[3]: 30 records were removed"));
  // Where to begin when there is no place has no say in it.
  EXPECT_EQ(begin(place(20), std::nullopt, {50, 80}, Start::kLatest).at.offset, 50);
  EXPECT_EQ(begin(place(50), std::nullopt, {50, 80}).why, Why::kAsKept);
}

TEST(KafkaPlace, AShorterTopicWasMadeAnewAndItsPositionsGoOn) {
  const Begin at = begin(place(20, 100), std::nullopt, {0, 5});
  EXPECT_EQ(at.why, Why::kMadeAnew);
  EXPECT_EQ(at.at.offset, 0);
  EXPECT_EQ(at.at.position(), 120);
  EXPECT_THAT(describe(at, place(20, 100), "tx[0]"), HasSubstr("made anew"));
  EXPECT_EQ(made_anew(place(20), {3, 50}).at.offset, 3);
}

TEST(KafkaPlace, AnotherTopicsPlaceIsNotUsed) {
  Place other = place(20);
  other.topic = "old";
  const Begin at = begin(other, std::nullopt, {0, 30});
  EXPECT_EQ(at.why, Why::kOtherTopic);
  EXPECT_EQ(at.at.offset, 0);
  EXPECT_EQ(at.at.position(), 20) << "positions go on";
  EXPECT_EQ(begin(other, place(7, 0), {0, 30}).at.offset, 7);
  EXPECT_EQ(begin(other, place(7, 0), {0, 30}).at.position(), 27);
}

TEST(KafkaPlace, TheEndIsABeginningOnceOnly) {
  EXPECT_EQ(begin(std::nullopt, std::nullopt, {5, 30}, Start::kLatest, true).at.offset, 30);
  EXPECT_EQ(begin(std::nullopt, std::nullopt, {5, 30}, Start::kLatest, false).at.offset, 5)
      << "a partition that was added later";
  EXPECT_EQ(begin(std::nullopt, std::nullopt, {5, 30}, Start::kEarliest, true).at.offset, 5);
}

// FROM..TO, "+" where records before were never read here, or "-".
std::string rebuild_of(Begin at, int64_t earliest = 0, int64_t most = 1'000) {
  shorten(at, earliest, most);
  const std::string gap = at.gap ? "+" : "";
  if (!at.rebuild) return "-" + gap;
  return std::to_string(at.rebuild->from) + ".." + std::to_string(at.rebuild->to) + gap;
}

TEST(KafkaPlace, WhatOthersDecidedIsReadAgain) {
  EXPECT_EQ(rebuild_of(begin(place(20), std::nullopt, {0, 30})), "-");
  EXPECT_EQ(rebuild_of(begin(place(20), place(20), {0, 30})), "-");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {0, 30})), "20..25");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {22, 30})), "22..25+") << "retention";
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {25, 30})), "-+");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {26, 30})), "-+");
  EXPECT_EQ(rebuild_of(begin(std::nullopt, place(25), {0, 30})), "0..25");
  EXPECT_EQ(rebuild_of(begin(std::nullopt, place(25), {3, 30})), "3..25+");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {0, 30}), 10), "20..25");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {0, 30}), 23), "23..25+");
  EXPECT_EQ(rebuild_of(begin(place(20), place(25), {0, 30}), 27), "-+");
  EXPECT_EQ(rebuild_of(begin(std::nullopt, place(25), {0, 30}), 0, 4), "21..25+");
  EXPECT_EQ(rebuild_of(begin(std::nullopt, place(25), {0, 30}), 0, 0), "-+");
  // The topic was made anew since we had it: what the others read of it we have not.
  EXPECT_EQ(rebuild_of(begin(place(20), place(5, 20), {0, 30})), "0..5+");
  // Where an operator, or the first member of all, set the group: nothing was decided before.
  Place bare = place(25);
  bare.last.reset();
  EXPECT_EQ(rebuild_of(begin(std::nullopt, bare, {0, 30})), "-");
  EXPECT_EQ(rebuild_of(begin(place(20), bare, {0, 30})), "20..25");
}

// Ours may lie behind what was never delivered: another member begins where the group is.
TEST(KafkaPlace, ANextOwnerBeginsAtTheGroupsPlace) {
  EXPECT_EQ(begin(place(25), place(20), {0, 30}).next_owner.offset, 20);
  EXPECT_EQ(begin(place(25, 5), place(20), {0, 30}).next_owner.position(), 25);
  EXPECT_EQ(begin(place(20), place(25), {0, 30}).next_owner.offset, 25);
  EXPECT_EQ(begin(place(25, 5), std::nullopt, {3, 30}).next_owner.position(), 8) << "the oldest";
  EXPECT_EQ(begin(std::nullopt, std::nullopt, {3, 30}).next_owner.offset, 3);
  EXPECT_EQ(begin(place(20, 100), place(20, 100), {0, 5}).next_owner.position(), 120);
  EXPECT_EQ(begin(std::nullopt, place(2), {3, 30}).next_owner.offset, 3);
}

std::string refused(const std::string& name, const std::string& value) {
  const auto checked = check_client_setting(name, value);
  return checked.ok() ? "" : checked.error().to_string();
}

TEST(KafkaSettings, WhatCarriesAGuaranteeIsRefusedByName) {
  for (const char* name :
       {"isolation.level", "enable.auto.commit", "group.id", "transactional.id", "acks",
        "request.required.acks", "enable.idempotence", "auto.offset.reset", "bootstrap.servers",
        "partition.assignment.strategy", "enable.auto.offset.store", "message.timeout.ms",
        "transaction.timeout.ms", "test.mock.num.brokers", "enable.partition.eof"})
    EXPECT_THAT(refused(name, "1"), HasSubstr("'" + std::string(name) + "'")) << name;
  EXPECT_THAT(refused("partition.assignment.strategy", "cooperative-sticky"),
              HasSubstr("cooperative-sticky is not supported"));
  EXPECT_THAT(refused("partitioner", "random"), HasSubstr("scatters"));
}

TEST(KafkaSettings, UnknownNamesAndBadValuesAreFoundWithoutShowingThem) {
  EXPECT_THAT(refused("sasl.pasword", "hunter2"), HasSubstr("knows no setting 'sasl.pasword'"));
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"security.protocol", "hunter2"},
                                          {"fetch.wait.max.ms", "hunter2"},
                                          {"session.timeout.ms", "-5"},
                                          {"compression.type", "hunter2"}}) {
    EXPECT_THAT(refused(name, value), HasSubstr("does not take this value of '" + name + "'"));
    EXPECT_THAT(refused(name, value), testing::Not(HasSubstr("hunter2")));
  }
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"security.protocol", "sasl_ssl"},
                                          {"sasl.password", "x"},
                                          {"session.timeout.ms", "6000"},
                                          {"compression.type", "lz4"},
                                          {"group.instance.id", "me"},
                                          {"client.rack", "a"},
                                          {"security.protocol ", ""}})
    EXPECT_EQ(refused(name, value).empty(), name.back() != ' ') << name;
}

}  // namespace
}  // namespace qw::streams::kafka
