// Aim: the settings table is sound by itself, values are read as documented, and near misses find
// their name.
// Method: every row judged against rules that parser, help and page rely on; tables of values.
#include "schema/settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace qw::schema {
namespace {

using ::testing::HasSubstr;

std::string parent_of(std::string_view path) {
  const size_t dot = path.rfind('.');
  std::string parent(dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot));
  if (parent.ends_with("[]")) parent.resize(parent.size() - 2);
  return parent;
}

TEST(SettingsTable, rows_are_sound) {
  std::set<std::string_view> seen;
  for (const Setting& row : app_file_settings()) {
    SCOPED_TRACE(row.path);
    EXPECT_TRUE(seen.insert(row.path).second) << "twice";
    EXPECT_FALSE(row.help.empty());
    EXPECT_TRUE(row.help.ends_with('.')) << "help is sentences";
    EXPECT_FALSE(row.required && !row.fallback.empty()) << "required and yet with a default";
    const std::string parent = parent_of(row.path);
    if (!parent.empty()) {
      EXPECT_TRUE(seen.contains(parent)) << "parents come first";
    }
    if (row.kind == SettingKind::kChoice) {
      EXPECT_FALSE(row.allowed.empty());
    }
    if (row.kind == SettingKind::kMap) {
      EXPECT_NE(find_setting(std::string(row.path) + ".*"), nullptr);
    }
    if (!row.with.empty()) {
      const std::string base(row.path.substr(0, row.path.rfind('.') + 1));
      EXPECT_NE(find_setting(base + std::string(row.with)), nullptr);
    }
    if (row.fallback.empty()) continue;
    if (row.kind == SettingKind::kChoice) {
      EXPECT_THAT(split_choices(row.allowed), ::testing::Contains(std::string(row.fallback)));
    } else if (row.allowed.find("..") != std::string_view::npos) {
      EXPECT_TRUE(check_range(row, row.fallback).ok()) << "the default is outside the range";
    }
  }
  EXPECT_GT(seen.size(), 120u);
}

TEST(SettingsTable, one_ofs_name_rows) {
  for (const OneOf& rule : app_file_one_ofs())
    for (const std::string& key : split_choices(rule.keys))
      EXPECT_NE(find_setting(fmt::format("{}.{}", rule.path, key)), nullptr) << key;
}

TEST(SettingsTable, help_finds_what_people_type) {
  EXPECT_THAT(*app_file_help(""), HasSubstr("sources"));
  EXPECT_THAT(*app_file_help("sources.kafka.brokers"), HasSubstr("host:port"));
  EXPECT_THAT(*app_file_help("sources[].kafka"), HasSubstr("topic"));
  EXPECT_THAT(*app_file_help("sources"), HasSubstr("Exactly one of: host, file, http, kafka."));
  const Result<std::string> wrong = app_file_help("sources.kafak.brokers");
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().how_to_mend, HasSubstr("sources.kafka.brokers"));
}

TEST(SettingsValues, durations) {
  EXPECT_EQ(*parse_duration_us("500ms"), 500'000);
  EXPECT_EQ(*parse_duration_us("30s"), 30'000'000);
  EXPECT_EQ(*parse_duration_us("1m"), 60'000'000);
  EXPECT_EQ(*parse_duration_us("1h"), 3'600'000'000);
  EXPECT_EQ(*parse_duration_us("7d"), 604'800'000'000);
  EXPECT_EQ(*parse_duration_us("0"), 0);
  for (const char* bad : {"", "s", "5", "5 s", "1.5s", "-1s", "5S", "5min", "99999999999d",
                          "9999999999999999999999s", "1h30m"})
    EXPECT_FALSE(parse_duration_us(bad).ok()) << bad;
}

TEST(SettingsValues, sizes_numbers_shares_rates) {
  EXPECT_EQ(*parse_size_bytes("1MB"), 1'000'000);
  EXPECT_EQ(*parse_size_bytes("64KiB"), 65'536);
  for (const char* bad : {"", "1", "1mb", "-1MB", "1.5MB", "99999999999TB"})
    EXPECT_FALSE(parse_size_bytes(bad).ok()) << bad;
  EXPECT_EQ(*parse_number("1e6"), 1e6);
  for (const char* bad : {"", "nan", "inf", "1e999", "1,5", "0x1g"})
    EXPECT_FALSE(parse_number(bad).ok()) << bad;
  EXPECT_DOUBLE_EQ(*parse_share("20%"), 0.2);
  for (const char* bad : {"20", "0.2", "120%", "-1%", "%"}) EXPECT_FALSE(parse_share(bad).ok());
  EXPECT_EQ(*parse_rate("3/10m"), (std::pair<int64_t, int64_t>{3, 600'000'000}));
  for (const char* bad : {"3", "0/10m", "3/0s", "/10m", "3/", "3/10"})
    EXPECT_FALSE(parse_rate(bad).ok()) << bad;
}

TEST(SettingsValues, windows) {
  EXPECT_EQ(*parse_window("1m"), (std::pair<int64_t, int64_t>{60'000'000, 0}));
  EXPECT_EQ(*parse_window("7d/1h"), (std::pair<int64_t, int64_t>{604'800'000'000, 3'600'000'000}));
  for (const char* bad : {"", "0s", "1m/0s", "1m/2m", "1m/", "/1m", "1m/1s/1s"})
    EXPECT_FALSE(parse_window(bad).ok()) << bad;
}

TEST(SettingsNames, nearest_finds_slips_of_fingers_only) {
  const std::vector<std::string> names = {"brokers", "topic", "group", "start"};
  EXPECT_EQ(nearest("broker", names), "brokers");
  EXPECT_EQ(nearest("borkers", names), "brokers");
  EXPECT_EQ(nearest("TOPIC", names), "topic");
  EXPECT_EQ(nearest("tpoic", names), "topic");
  EXPECT_EQ(nearest("windows", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(1'000'000, 'a'), names), "");
  EXPECT_EQ(suggestion("x", {}), "");
  EXPECT_EQ(suggestion("windows", names), "use one of brokers, topic, group, start");
}

}  // namespace
}  // namespace qw::schema
