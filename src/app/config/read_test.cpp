// Aim: a good file becomes exactly the structs it describes; a bad one is answered with every
// mistake at its place.
// Method: one file with every key compared member by member, and the reader asked which rows of the
// settings table it used; the bad files of tests/flow/bad_apps carry their expected answers in
// `# expect:` lines, all of which must come and nothing else.
#include "app/config/read.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "app/runtime/load_plan.h"
#include "schema/settings.h"
#include "streams/connectors/host/config.h"

namespace qw::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path source_folder() {
  const char* const folder = std::getenv("QUICKWATER_SOURCE_DIR");
  return folder == nullptr ? std::filesystem::path(QUICKWATER_SOURCE_FOLDER)
                           : std::filesystem::path(folder);
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::optional<std::string> test_variable(const std::string& name) {
  if (name == "KAFKA") return "broker:9092";
  if (name == "EMPTY") return "";
  if (name == "NOT_AN_ADDRESS") return "planted-7f3a";
  return std::nullopt;
}

ReadOptions test_options() {
  ReadOptions options;
  options.variables = test_variable;
  return options;
}

std::string all_of(const Reading& reading) {
  std::string text;
  for (const Problem& problem : reading.problems) text += to_text(problem, "app.yaml");
  return text;
}

Reading read_full(std::set<std::string>* consulted = nullptr) {
  ReadOptions options;
  options.resolve = false;
  options.consulted = consulted;
  return read_app_file((source_folder() / "tests/flow/apps/full.yaml").string(), options);
}

TEST(ReadApp, reads_every_row_of_the_settings_table) {
  std::set<std::string> consulted;
  const Reading reading = read_full(&consulted);
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const std::string text = contents(source_folder() / "tests/flow/apps/full.yaml");
  for (const schema::Setting& setting : schema::app_file_settings()) {
    EXPECT_TRUE(consulted.contains(std::string(setting.path))) << setting.path << " is never read";
    const std::string key(schema::last_part(setting.path));
    if (key == "*") continue;
    EXPECT_THAT(text, HasSubstr(key + ":")) << "the full example lacks " << key;
  }
}

TEST(ReadApp, sources_as_written) {
  const Reading reading = read_full();
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const AppFile& app = *reading.app;
  EXPECT_EQ(app.durability.events, Durability::kProcess);
  EXPECT_EQ(app.durability.commit_interval_us, 10'000);
  EXPECT_EQ(app.retention.events.max_age_us, 90 * 86'400'000'000);
  EXPECT_EQ(app.retention.decisions.max_size_bytes, 2'000'000'000);
  EXPECT_EQ(app.retention.dead_letters.max_size_bytes, 50'000'000);
  EXPECT_EQ(app.retention.journal.max_age_us, 365 * 86'400'000'000);
  EXPECT_EQ(app.segments.size_bytes, 4'000'000);
  EXPECT_EQ(app.segments.age_us, 600'000'000);
  EXPECT_EQ(app.segments.every_us, 5'000'000);
  EXPECT_EQ(app.server.port, 0);
  ASSERT_EQ(app.sources.size(), 5u);
  const auto& host = std::get<HostSource>(app.sources[0].kind);
  EXPECT_EQ(host.interval_us, 500'000);
  EXPECT_EQ(app.sources[0].schema, *streams::host::host_schema());
  EXPECT_EQ(app.sources[0].event_time.text, "ts");
  const Source& tx = app.sources[1];
  EXPECT_EQ(std::get<KafkaSource>(tx.kind).start, KafkaStart::kLatest);
  EXPECT_EQ(std::get<KafkaSource>(tx.kind).rebuild_max, 5'000);
  EXPECT_EQ(std::get<KafkaSource>(tx.kind).client[0].first, "sasl.password");
  EXPECT_EQ(tx.event_time_format, TimeFormat::kEpochMillis);
  EXPECT_EQ(tx.dedup_horizon_us, 3'600'000'000);
  EXPECT_EQ(tx.max_record_bytes, 64'000);
  EXPECT_EQ(tx.dedup_memory_bytes, 10'000'000);
  EXPECT_EQ(tx.late, Late::kDecide);
  EXPECT_EQ(tx.schema.field(2).type, (schema::Type{schema::Kind::kDecimal, 12, 2}));
  ASSERT_EQ(tx.expect.size(), 4u);
  EXPECT_TRUE(tx.expect[0].not_null);
  EXPECT_EQ(tx.expect[0].on_fail, OnFail::kNull);
  EXPECT_EQ(tx.expect[1].between->first, 0.0);
  EXPECT_EQ(tx.expect[1].between->second, std::nullopt);
  EXPECT_EQ(tx.expect[3].on_fail, OnFail::kQuarantine);
  const auto& prices = std::get<FileSource>(app.sources[2].kind);
  EXPECT_EQ(prices.mode, FileMode::kReplay);
  EXPECT_EQ(prices.speed, 60);
  EXPECT_EQ(app.sources[2].csv.delimiter, ';');
  EXPECT_THAT(app.sources[2].csv.nulls, ElementsAre("", "NA"));
  const auto& lines = std::get<FileSource>(app.sources[3].kind);
  EXPECT_EQ(lines.counts->counters[0].equals, "ERROR");
  EXPECT_TRUE(lines.counts->counters[0].per_second);
  const auto& clicks = std::get<HttpSource>(app.sources[4].kind);
  EXPECT_EQ(clicks.path, "/push/clicks");
  EXPECT_EQ(clicks.commit_timeout_us, 2'000'000);
  EXPECT_EQ(clicks.pending_requests_max, 100);
  EXPECT_EQ(clicks.pending_bytes_max, 8'000'000);
  EXPECT_EQ(clicks.retry_after_us, 2'000'000);
}

TEST(ReadApp, features_and_models_as_written) {
  const Reading reading = read_full();
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const AppFile& app = *reading.app;
  const View& card = app.views.at(0);
  EXPECT_EQ(card.windows[0].size_us, 60'000'000);
  EXPECT_EQ(card.windows[0].suffix(), "1m");
  EXPECT_EQ(card.windows[1].step_us, 3'600'000'000);
  EXPECT_EQ(card.windows[1].suffix(), "7d_by_1h");
  EXPECT_EQ(card.aggregates[1].name.text, "spent");
  EXPECT_EQ(card.aggregates[1].expression.text, "sum(amount)");
  EXPECT_TRUE(card.exclude_current);
  EXPECT_EQ(card.on_hot_key, OnHotKey::kReject);
  EXPECT_EQ(app.derives.at(0).as.text, "amount / nullif(card.spent_1m, 0)");
  const Model& unusual = *app.model("unusual");
  EXPECT_EQ(std::get<double>(unusual.settings[0].value), 3.5);
  EXPECT_EQ(std::get<bool>(unusual.settings[1].value), true);
  EXPECT_EQ(std::get<std::string>(unusual.settings[2].value), "fast");
  EXPECT_EQ(unusual.champion->model, "unusual");
  EXPECT_EQ(unusual.key.size(), 2u);
  EXPECT_EQ(app.model("fraud")->champion->alias, "3");
  EXPECT_EQ(app.model("simple")->rules[0].name.text, "score");
}

TEST(ReadApp, decisions_and_the_rest_as_written) {
  const Reading reading = read_full();
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const AppFile& app = *reading.app;
  const Decision& watch = *app.decision("watch");
  EXPECT_EQ(watch.alert->for_us, 5'000'000);
  EXPECT_EQ(watch.alert->stale_after_us, 120'000'000);
  EXPECT_EQ(watch.alert->flap_fires, 4);
  EXPECT_EQ(watch.alert->flap_window_us, 1'200'000'000);
  EXPECT_EQ(watch.alert->flap_resolve_after_us, 180'000'000);
  EXPECT_EQ(watch.alert->keys_max, 5000);
  EXPECT_EQ(app.memory.views_bytes, 100'000'000);
  EXPECT_EQ(app.memory.models_bytes, 2'000'000'000);
  EXPECT_EQ(app.stop_timeout_us, 20'000'000);
  EXPECT_EQ(app.durability.state_ttl_us, 172'800'000'000);
  EXPECT_EQ(watch.alert->summary.text, "{metric} is {value}");
  ASSERT_EQ(watch.sinks.size(), 2u);
  EXPECT_EQ(watch.sinks[0].name.text, "file");
  EXPECT_EQ(watch.sinks[0].on_full, OnFull::kDropCounted);
  EXPECT_EQ(watch.sinks[1].name.text, "watch.alertmanager");
  EXPECT_EQ(watch.sinks[1].send, Send::kAlerts);
  EXPECT_EQ(app.decision("screen")->sinks[0].send, Send::kDecisions);
  const Heal& ease = watch.heal.at(0);
  EXPECT_EQ(ease.limit_count, 2);
  EXPECT_EQ(ease.limit_per_us, 300'000'000);
  EXPECT_TRUE(ease.dry_run);
  EXPECT_EQ(std::get<CommandAction>(watch.heal.at(1).action).run.text, "restart_web");
  EXPECT_THAT(app.healing.commands.at(0).arguments,
              ElementsAre("/usr/bin/systemctl", "restart", "web"));
  EXPECT_EQ(app.monitors.at(0).alert, Severity::kCritical);
  EXPECT_EQ(app.monitors.at(0).sinks.at(0).text, "file");
  const Training& nightly = app.training.at(0);
  EXPECT_TRUE(nightly.label_verdicts && nightly.label_incidents);
  EXPECT_EQ(nightly.labels_at_least, 7);
  EXPECT_DOUBLE_EQ(nightly.held_out, 0.4);
  EXPECT_TRUE(nightly.gate[0].against_champion);
  EXPECT_DOUBLE_EQ(nightly.gate[0].offset, -0.5);
  EXPECT_FALSE(nightly.gate[0].strict);
  EXPECT_EQ(nightly.then, Then::kPublish);
  EXPECT_TRUE(app.demo.incidents);
}

constexpr char kSmall[] =
    "app: small\n"
    "sources: [{ name: m, host: }]\n"
    "models: [{ name: d, detector: ensemble, key: series, inputs: [value] }]\n"
    "decisions: [{ name: w, on: m, model: d }]\n";

TEST(ReadApp, what_is_left_out_has_the_tables_default) {
  const Reading reading = read_app_text(kSmall, "x/app.yaml");
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  EXPECT_TRUE(reading.problems.empty()) << all_of(reading);
  const AppFile& app = *reading.app;
  EXPECT_EQ(app.data, "data");
  EXPECT_EQ(app.folder, "x");
  EXPECT_EQ(app.resolve(app.data), "x/data");
  EXPECT_EQ(app.resolve("/var/lib"), "/var/lib");
  EXPECT_EQ(app.server.address, "127.0.0.1");
  EXPECT_EQ(app.durability.commit_interval_us, 5'000);
  EXPECT_EQ(app.sources[0].max_future_us, 60'000'000);
  EXPECT_FALSE(app.healing.enabled);
}

TEST(ReadApp, anchors_aliases_and_merging_work) {
  const Reading reading = read_app_text(
      "app: a\n"
      "sources:\n"
      "  - &base { name: one, http: {}, event_time: ts, schema: &s { ts: timestamp, v: double } }\n"
      "  - { <<: *base, name: two, allowed_lateness: 3s }\n"
      "  - { name: three, http: {}, event_time: ts, schema: *s }\n",
      "app.yaml");
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  EXPECT_EQ(reading.app->sources[1].name.text, "two");
  EXPECT_EQ(reading.app->sources[1].schema, reading.app->sources[0].schema);
  EXPECT_EQ(reading.app->sources[2].schema.size(), 2u);
}

TEST(ReadApp, places_of_expressions_lead_into_the_file) {
  const std::string text =
      "app: a\nsources: [{ name: m, host: }]\nfeatures:\n"
      "  - derive: plain\n    as: value / 2\n"
      "  - derive: quoted\n    as: \"value / 3\"\n"
      "  - derive: block\n    as: >-\n      value\n      / 4\n"
      "  - derive: escaped\n    as: \"value = '\\u0041'\"\n";
  const Reading reading = read_app_text(text, "app.yaml");
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const std::vector<Derive>& derives = reading.app->derives;
  EXPECT_EQ(derives[0].as.at(6), (Place{5, 15}));  // the slash
  EXPECT_EQ(derives[1].as.at(6), (Place{7, 16}));  // the slash, behind a quote
  EXPECT_EQ(derives[2].as.text, "value / 4");
  EXPECT_EQ(derives[2].as.at(6), derives[2].as.place);  // folded: only the beginning is known
  EXPECT_FALSE(derives[3].as.one_to_one);
  EXPECT_EQ(reading.app->where(derives[0].as.at(6)), "app.yaml:5:15");
}

// ---- bad files

struct Wanted {
  std::string place_and_text;
  bool met = false;
};

std::vector<Wanted> wanted_of(const std::string& text) {
  constexpr std::string_view kMark = "# expect: ";
  std::vector<Wanted> wanted;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kMark)) wanted.push_back({line.substr(kMark.size())});
  return wanted;
}

std::vector<std::filesystem::path> bad_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(source_folder() / "tests/flow/bad_apps"))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// "LINE:COLUMN: fragment ... fragment": at that place, with the fragments in order.
bool meets(const Wanted& wanted, const std::string& text) {
  size_t from = 0;
  size_t at = 0;
  std::string line = text.substr(text.find(':') + 1);  // after the file's name
  if (line.starts_with(' ')) line.erase(0, 1);
  std::string_view rest = wanted.place_and_text;
  while (true) {
    const size_t dots = rest.find(" ... ");
    const std::string fragment(rest.substr(0, dots));
    at = line.find(fragment, from);
    if (at == std::string::npos || (from == 0 && at != 0)) return false;
    from = at + fragment.size();
    if (dots == std::string_view::npos) return true;
    rest = rest.substr(dots + 5);
  }
}

TEST(BadApps, each_mistake_is_named_at_its_place_and_nothing_else_is) {
  const std::vector<std::filesystem::path> files = bad_files();
  EXPECT_GE(files.size(), 40u);
  for (const std::filesystem::path& path : files) {
    SCOPED_TRACE(path.filename().string());
    std::vector<Wanted> wanted = wanted_of(contents(path));
    EXPECT_FALSE(wanted.empty()) << "the file has no '# expect: ' line";
    const Loading reading = load_plan(path.string(), test_options());
    EXPECT_EQ(reading.plan != nullptr, reading.errors == 0);
    for (const Problem& problem : reading.problems) {
      const std::string text = to_text(problem, "app.yaml");
      const auto met = std::find_if(wanted.begin(), wanted.end(), [&](const Wanted& one) {
        return !one.met && meets(one, text);
      });
      if (met == wanted.end()) {
        ADD_FAILURE() << "not expected:\n" << text;
      } else {
        met->met = true;
      }
      EXPECT_THAT(text, Not(HasSubstr("planted-7f3a")));
    }
    for (const Wanted& one : wanted) EXPECT_TRUE(one.met) << "missing: " << one.place_and_text;
  }
}

TEST(BadApps, files_that_are_not_there) {
  EXPECT_THAT(all_of(read_app_file("/nonexistent/app.yaml")), HasSubstr("there is no such file"));
  EXPECT_THAT(all_of(read_app_file("/")), HasSubstr("this is a folder"));
  const Result<AppFile> loaded = load_app_file("/nonexistent/app.yaml");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().where, "/nonexistent/app.yaml");
}

TEST(BadApps, huge_and_deep_files_are_refused_quickly) {
  EXPECT_THAT(all_of(read_app_text(std::string(2'000'000, 'a'), "app.yaml")),
              HasSubstr("the file has 2000000 bytes, more than 1000000"));
  EXPECT_THAT(all_of(read_app_text("app: " + std::string(400'000, '['), "app.yaml")),
              HasSubstr("the file is nested more than 32 levels deep"));
  std::string deep = "app: x\n";
  for (int level = 0; level < 100; ++level)
    deep += std::string(static_cast<size_t>(level), ' ') + "a:\n";
  EXPECT_THAT(all_of(read_app_text(deep, "app.yaml")), HasSubstr("levels deep"));
  // Every alias doubles ten times what the one before meant: 10^9 values in 400 bytes.
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 9; ++level) {
    laughs += fmt::format("a{0}: &a{0} [", level);
    for (int i = 0; i < 10; ++i) laughs += fmt::format("{}*a{}", i == 0 ? "" : ", ", level - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(all_of(read_app_text(laughs, "app.yaml")),
              HasSubstr("more than 100000 values once aliases are filled in"));
  std::string many = "app: x\nsources: []\n";
  for (int i = 0; i < 5000; ++i) many += fmt::format("key{}: 1\n", i);
  const Reading reading = read_app_text(many, "app.yaml");
  EXPECT_EQ(reading.problems.size(), Problems::kMost);
  EXPECT_GT(reading.errors, 5000u);
  for (int i = 5000; i < 50'000; ++i) many += fmt::format("key{}: 1\n", i);
  EXPECT_THAT(all_of(read_app_text(many, "app.yaml")), HasSubstr("more than 10000 keys"));
}

TEST(BadApps, empty_files) {
  for (const char* text : {"", "\n\n", "---\n", "~\n"})
    EXPECT_THAT(all_of(read_app_text(text, "app.yaml")), HasSubstr("the file is empty")) << text;
}

TEST(BadApps, encodings_that_are_not_utf8) {
  EXPECT_THAT(all_of(read_app_text("app: caf\xe9\n", "app.yaml")),
              HasSubstr("app.yaml:1:9: error: the file is not UTF-8: byte 0xe9"));
  EXPECT_THAT(all_of(read_app_text(std::string("\xff\xfe"
                                               "a\0",
                                               4),
                                   "app.yaml")),
              HasSubstr("app.yaml:1:1: error: the file is not UTF-8"));
  EXPECT_THAT(all_of(read_app_text(std::string("app: a\nb: \0", 11), "app.yaml")),
              HasSubstr("app.yaml:2:4: error: the file holds the control character 0x00"));
  EXPECT_TRUE(read_app_text("\xEF\xBB\xBF" + std::string(kSmall), "app.yaml").app.has_value());
}

// Whatever bytes come, the reader answers; it never throws, hangs or stops the process.
TEST(BadApps, cut_and_damaged_files_are_answered) {
  const std::string good = contents(source_folder() / "tests/flow/apps/full.yaml");
  ReadOptions options = test_options();
  options.resolve = false;
  for (size_t length = 0; length < good.size(); length += 7)
    (void)read_app_text(good.substr(0, length), "app.yaml", options);
  uint64_t random = 42;
  for (int round = 0; round < 500; ++round) {
    std::string damaged = good;
    for (int change = 0; change < 3; ++change) {
      random = random * 6364136223846793005ull + 1442695040888963407ull;
      constexpr std::string_view kBytes = "{}[]:,-#&*!|>'\"%@` \n\ta0";
      damaged[(random >> 33) % damaged.size()] = kBytes[(random >> 20) % kBytes.size()];
    }
    const Reading reading = read_app_text(damaged, "app.yaml", options);
    EXPECT_EQ(reading.app.has_value(), reading.errors == 0);
  }
}

}  // namespace
}  // namespace qw::app
