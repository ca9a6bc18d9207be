// Aim: timestamps are read exactly or refused. Method: a table of texts with answers worked out by
// hand or with `date -u -d`.
#include "streams/decoders/time.h"
#include "base/time_text.h"

#include <gtest/gtest.h>

namespace qw::streams {
namespace {

struct Case {
  TimeForm form;
  const char* zone;
  const char* text;
  int64_t time_us;
};

TEST(TimeParser, ReadsWhatTheFormAllows) {
  const Case cases[] = {
      {TimeForm::kIso8601, "", "1970-01-01T00:00:00Z", 0},
      {TimeForm::kIso8601, "", "1969-12-31T23:59:59.999999Z", -1},
      {TimeForm::kIso8601, "", "2014-04-01T02:00:00.5+02:00", 1'396'310'400'500'000},
      {TimeForm::kIso8601, "", "2014-04-01 00:00:00-0130", 1'396'315'800'000'000},
      {TimeForm::kIso8601, "UTC", "2014-04-01 00:00:00", 1'396'310'400'000'000},
      {TimeForm::kIso8601, "UTC", "2014-04-01 00:00", 1'396'310'400'000'000},
      {TimeForm::kIso8601, "UTC", "2014-04-01", 1'396'310'400'000'000},
      {TimeForm::kIso8601, "+02:00", "2014-04-01 02:00:00", 1'396'310'400'000'000},
      {TimeForm::kIso8601, "Europe/Berlin", "2014-04-01 02:00:00", 1'396'310'400'000'000},
      {TimeForm::kIso8601, "Europe/Berlin", "2014-01-01 01:00:00", 1'388'534'400'000'000},
      // 02:30 happens twice on this night; the first is summer time.
      {TimeForm::kIso8601, "Europe/Berlin", "2014-10-26 02:30:00", 1'414'283'400'000'000},
      {TimeForm::kIso8601, "", "2016-02-29T00:00:00.1234567Z", 1'456'704'000'123'456},
      {TimeForm::kEpochSeconds, "", "1396310400", 1'396'310'400'000'000},
      {TimeForm::kEpochSeconds, "", "-1.5", -1'500'000},
      {TimeForm::kEpochMillis, "", "1396310400123", 1'396'310'400'123'000},
      {TimeForm::kEpochMillis, "", "1.5", 1'500},
      {TimeForm::kEpochMicros, "", "-7", -7},
      {TimeForm::kCommonLog, "", "10/Oct/2000:13:55:36 -0700", 971'211'336'000'000},
  };
  for (const Case& c : cases) {
    auto parser = TimeParser::make(c.form, c.zone);
    ASSERT_TRUE(parser.ok());
    auto time = parser->parse(c.text);
    ASSERT_TRUE(time.ok()) << c.text << ": " << time.error().message;
    EXPECT_EQ(*time, c.time_us) << c.text;
  }
}

TEST(TimeParser, RefusesWhatIsNotATime) {
  const Case cases[] = {
      {TimeForm::kIso8601, "", "2014-04-01 00:00:00", 0},   // no offset, no zone
      {TimeForm::kIso8601, "", "2014-02-29T00:00:00Z", 0},  // no leap year
      {TimeForm::kIso8601, "", "2014-13-01T00:00:00Z", 0},
      {TimeForm::kIso8601, "", "2014-04-01T24:00:00Z", 0},
      {TimeForm::kIso8601, "", "2014-04-01T00:00:60Z", 0},
      {TimeForm::kIso8601, "", "2014-04-01T00:00:00X", 0},
      {TimeForm::kIso8601, "", "2014-04-01T00:00:00.Z", 0},
      {TimeForm::kIso8601, "", "14-4-1", 0},
      {TimeForm::kIso8601, "", "", 0},
      {TimeForm::kIso8601, "Europe/Berlin", "2014-03-30 02:30:00", 0},  // skipped
      {TimeForm::kEpochSeconds, "", "9223372036854775807", 0},
      {TimeForm::kEpochSeconds, "", "1e9", 0},
      {TimeForm::kEpochSeconds, "", "", 0},
      {TimeForm::kEpochSeconds, "", ".", 0},
      {TimeForm::kEpochMillis, "", "12x", 0},
      {TimeForm::kCommonLog, "", "10/Xyz/2000:13:55:36 -0700", 0},
      {TimeForm::kCommonLog, "", "10/Oct/2000:13:55:36", 0},
  };
  for (const Case& c : cases) {
    auto parser = TimeParser::make(c.form, c.zone);
    ASSERT_TRUE(parser.ok());
    EXPECT_FALSE(parser->parse(c.text).ok()) << c.text;
  }
}

TEST(TimeParser, RefusesUnknownZones) {
  EXPECT_FALSE(TimeParser::make(TimeForm::kIso8601, "Mars/Olympus").ok());
}

TEST(FormatTime, WritesWhatItReads) {
  const auto parser = TimeParser::make(TimeForm::kIso8601, "");
  for (const int64_t time_us :
       {int64_t{0}, int64_t{-1}, int64_t{1'396'310'400'123'456}, int64_t{-2'208'988'800'000'000}}) {
    EXPECT_EQ(*parser->parse(format_time(time_us)), time_us);
  }
}

}  // namespace
}  // namespace qw::streams
