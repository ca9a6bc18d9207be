// Aim: no bytes that come from outside, or from a damaged disk, end the process: every decoder
// gives a value or an error, in bounded time; what it gives can be written and read again.
// Method: seeded mutations of good inputs, in a child process that may die. A decoder with a
// planted bug must be found out: a fuzzer that finds nothing anywhere proves nothing.
// QUICKWATER_FUZZ_S=SECONDS runs each decoder that long, from a seed of its own, or again from
// QUICKWATER_FUZZ_SEED.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "app/config/read.h"
#include "base/bytes.h"
#include "features/definition.h"
#include "features/expression/expression.h"
#include "fuzzer.h"
#include "monitor/actions/healing.h"
#include "monitor/alerts/policy.h"
#include "monitor/drift/watch.h"
#include "schema/profile.h"
#include "schema/records.h"
#include "schema/stored_schema.h"
#include "streams/connectors/http/body.h"
#include "streams/decoders/csv.h"
#include "streams/decoders/decoder.h"
#include "streams/decoders/text.h"
#include "streams/sink.h"

namespace qw::test {
namespace {

std::shared_ptr<const schema::Schema> event_schema() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"id", schema::kString, false},
                                 {"amount", schema::kDouble, true},
                                 {"count", schema::kInt64, true},
                                 {"price", {schema::Kind::kDecimal, 12, 2}, true},
                                 {"good", schema::kBool, true},
                                 {"ts", schema::kTimestamp, true}});
}

// Whatever was decoded is a row that can be stored: written and read it is the same bytes.
void check_rows(const schema::Batch& rows) {
  for (size_t row = 0; row < rows.rows(); ++row) {
    std::string bytes, again;
    schema::encode_row(rows, row, bytes);
    schema::Batch copy(rows.schema_ptr());
    QW_ASSERT(schema::decode_row(bytes, copy).ok());
    schema::encode_row(copy, 0, again);
    QW_ASSERT(bytes == again);
  }
}

// The whole way of a file: cut into records in pieces of any size, then decoded.
FuzzTarget stream_target(std::string name, streams::DecodeOptions options,
                         std::vector<std::string> seeds, std::vector<std::string> dictionary) {
  options.schema = event_schema();
  options.max_record_bytes = 4096;
  const auto decode = [options](std::string_view input) {
    const auto decoder = streams::make_decoder(options).value();
    streams::Framer framer = streams::make_framer(options);
    schema::Batch rows(options.schema);
    uint64_t end = 0;
    const auto take = [&](const streams::Frame& frame) {
      QW_ASSERT(frame.begin >= end && frame.end >= frame.begin && frame.end <= input.size());
      end = frame.end;
      if (frame.problem != streams::Frame::Problem::kNone) return;
      if (decoder->needs_header())
        (void)decoder->use_header(frame.text);
      else
        (void)decoder->decode(frame.text, rows);
    };
    const size_t cut = input.size() / 3;
    for (const std::string_view piece : {input.substr(0, cut), input.substr(cut)}) {
      framer.feed(piece);
      while (const auto frame = framer.next()) take(*frame);
    }
    while (const auto frame = framer.finish()) take(*frame);
    check_rows(rows);
  };
  return {std::move(name), std::move(seeds), std::move(dictionary), decode};
}

FuzzTarget json_target() {
  return stream_target(
      "json", {},
      {R"({"id": "a", "amount": 1.5e3, "count": 7, "price": "12.34", "good": true,)"
       R"( "ts": "2026-01-02T03:04:05.25+01:00"})"
       "\n{\"id\": \"\\u00e9\\ud83d\\ude00\", \"amount\": null}\n"},
      {"\"id\":", "\"ts\":", "null", "1e999", "-0", "NaN", "\\u0000", "\\ud800", "{\"a\":[", "}}",
       "99999999999999999999", "0.1", "\"2026-13-01T00:00:00Z\"", "\xC3", "\xEF\xBB\xBF"});
}

FuzzTarget csv_target() {
  streams::DecodeOptions options;
  options.format = streams::Format::kCsv;
  return stream_target("csv", options,
                       {"id,amount,count,price,good,ts\na,1.5,7,12.34,true,2026-01-02T03:04:05Z\n"
                        "\"b \"\"q\"\"\",,,,,\r\n\"c\nd\",2,,,false,\n"},
                       {"\"", "\"\"", ",", "\r\n", "\n", "id", "ts", "1e308", "-12.345", "true"});
}

FuzzTarget text_target() {
  streams::DecodeOptions options;
  options.format = streams::Format::kText;
  options.time_form = streams::TimeForm::kCommonLog;
  options.pattern = "{id} - [{ts}] \"{_}\" {count:int} {amount:number}";
  return stream_target("text", options,
                       {"10.0.0.1 - [10/Oct/2000:13:55:36 -0700] \"GET /a\" 200 12.5\n"},
                       {" - [", "] \"", "\" ", "10/Oct/2000:13:55:36 +0000", "29/Feb/2001", "-1"});
}

FuzzTarget pattern_target() {
  return {"pattern",
          {"{ip} - [{ts}] {status:int} {_}", "{{x}} {a:word}={b:number}", "{a} {b} {c}"},
          {"{", "}", "{{", "}}", "{_}", ":int}", ":number}", ":word}", ":timestamp}"},
          [](std::string_view input) {
            const size_t cut = input.find('\n');
            const auto pattern = streams::TextPattern::parse(input.substr(0, cut));
            if (!pattern.ok()) return;
            std::vector<std::string_view> fields;
            (void)pattern->match(cut == std::string_view::npos ? input : input.substr(cut), fields);
          }};
}

FuzzTarget time_target() {
  return {"time",
          {"2026-03-29T02:30:00.123456789+02:00", "1999-12-31 23:59:60Z", "20260102T030405Z",
           "10/Oct/2000:13:55:36 -0700", "1700000000.5", "-62135596800"},
          {"T", "Z", "+14:00", "-00:00", "0000-01-01", "9999-12-31", "1e18", "e", ".999999999"},
          [](std::string_view input) {
            using streams::TimeForm;
            for (const TimeForm form :
                 {TimeForm::kIso8601, TimeForm::kEpochSeconds, TimeForm::kEpochMillis,
                  TimeForm::kEpochMicros, TimeForm::kCommonLog})
              for (const char* zone : {"", "Europe/Berlin", "-09:30"}) {
                const auto parser = streams::TimeParser::make(form, zone);
                QW_ASSERT(parser.ok());
                (void)parser->parse(input);
              }
          }};
}

FuzzTarget app_file_target() {
  return {"app_file",
          {"app: a\nsources:\n  - name: s\n    file: { path: x.jsonl, mode: tail }\n"
           "    event_time: ts\n    schema: { id: string, v: double, ts: timestamp }\n"
           "features:\n  - { view: m, from: s, key: id, windows: [1m, 7d/1h],"
           " aggregates: { n: count() } }\n  - { derive: d, as: v - m.n_1m }\n"
           "models:\n  - { name: r, rules: { score: \"1.0\" } }\n"
           "decisions:\n  - { name: e, on: s, model: r, output: { o: id },"
           " sinks: [ { log: { path: o.jsonl } } ] }\n"},
          {"&a ",     "*a",           "<<: ",  "!!binary ", "? ",
           "- ",      ": ",           "[",     "{",         "}",
           "]",       "|\n",          ">-\n",  "${",        "${X}",
           "file:",   "\t",           "---\n", "...\n",     "%YAML 1.2\n",
           "7d/1h",   "99999999999d", "key: ", "http: {}",  "kafka:",
           "expect:", "null",         "~"},
          [](std::string_view input) {
            app::ReadOptions options;
            options.variables = [](const std::string&) { return std::optional<std::string>(); };
            options.resolve = false;
            const auto reading = app::read_app_text(std::string(input), "app.yaml", options);
            QW_ASSERT(reading.app.has_value() || reading.errors > 0);
          }};
}

FuzzTarget expression_target() {
  return {"expression",
          {"case when amount > 10 * count and id in ('a', 'b') then 0.9 else price / 3 end",
           "coalesce(nullif(count, 0), -1) % 7 between 1 and 3 or not good is null",
           "round(amount, 2) || 'x' <> upper(id)", "cast(amount as decimal(12,2)) + price"},
          {"case ",
           "when ",
           "then ",
           "else ",
           "end",
           " and ",
           " or ",
           "not ",
           " is null",
           " in (",
           "cast(",
           " as ",
           "int64",
           "double",
           "decimal(",
           " between ",
           "amount",
           "count",
           "id",
           "round(",
           "abs(",
           "log(",
           "least(",
           "substr(",
           "1e309",
           "0.1",
           "''",
           "-",
           "(",
           ")",
           "||",
           "hour(",
           "length(",
           "floor(",
           "count,",
           "power(2",
           "99999999999999999999"},
          [](std::string_view input) {
            static const schema::Schema inputs = *event_schema();
            const auto compiled = features::Expression::compile(input, inputs);
            if (!compiled.ok()) return;
            schema::Batch rows(event_schema());
            rows.append_row({std::string("a"), 1.5, int64_t{-7}, int64_t{1234}, int64_t{1},
                             int64_t{1'700'000'000'000'000}});
            rows.append_row(std::vector<schema::Value>(6));
            rows.append_row(
                {std::string("\xC3\xA9"), -0.0, INT64_MIN, int64_t{0}, int64_t{0}, int64_t{-1}});
            features::Evaluator evaluator(*compiled);
            for (size_t row = 0; row < rows.rows(); ++row) (void)evaluator.evaluate(rows, row);
          }};
}

// Every stored record, told apart by the first byte of the input. The checksum would hide the body
// from every mutation, so it is made right again: what is left are the bodies of a faulty writer.
void decode_stored(std::string_view bytes) {
  (void)schema::decode_event(bytes);
  (void)schema::decode_decision(bytes);
  (void)schema::decision_key(bytes);
  (void)schema::decode_schema(bytes);
  (void)schema::decode_decision_schema(bytes);
  (void)schema::decode_journal(bytes);
  (void)schema::decode_dead_letter(bytes);
  (void)streams::decode_outbox_row(bytes);
  schema::Batch rows(event_schema());
  (void)schema::decode_row(bytes, rows);
  check_rows(rows);
}

std::vector<std::string> stored_seeds() {
  schema::Batch rows(event_schema());
  rows.append_row({std::string("a"), 1.5, int64_t{7}, int64_t{1234}, int64_t{1}, int64_t{1}});
  std::string row, event, decision, journal, letter, outbox;
  schema::encode_row(rows, 0, row);
  schema::encode_event({PartitionId{3}, Seq{9}, EventTime{5}, KnownAt{6}}, 42, row, event);
  schema::DecisionRecord made;
  made.decision = "d";
  made.key = "key";
  made.partition = PartitionId{3};
  made.event_seq = Seq{9};
  made.model = "m";
  made.version = 1;
  made.id = "r";
  made.variant = "b";
  made.known = {{PartitionId{3}, Seq{9}}};
  made.features = {schema::Value{}, 1.5, std::string("x")};
  made.inputs = {int64_t{4}};
  made.contributions = {0.25, 0.75};
  made.outputs = {std::string("block")};
  made.schema_id = 11;
  made.statuses = {schema::FeatureStatus::kPresent, schema::FeatureStatus::kHotKey,
                   schema::FeatureStatus::kPresent};
  schema::encode_decision(made, decision);
  schema::encode_journal({"tick", 7, "{\"a\": 1}"}, journal);
  schema::encode_dead_letter({"s", "f:17", "why", "raw", 5}, letter);
  streams::encode_outbox_row({"id", 5, "k", "{}"}, outbox);
  std::string of_rows, of_decision;
  schema::encode_schema(*event_schema(), of_rows);
  schema::encode_decision_schema({{{"k", schema::kString}},
                                  event_schema()->fields(),
                                  {{"value", schema::kDouble}},
                                  {"knn"},
                                  {{"word", schema::kString}}},
                                 of_decision);
  return {row, event, decision, journal, letter, outbox, of_rows, of_decision};
}

FuzzTarget stored_target() {
  return {"stored",
          stored_seeds(),
          {std::string(8, '\0'), std::string(8, '\xFF'), "\x01\x02"},
          [](std::string_view input) {
            decode_stored(input);
            // The same body under a seal that holds.
            const auto seeds = stored_seeds();
            for (const std::string& seed : seeds) {
              const auto opened = open_record(seed);
              if (!opened.ok()) continue;
              const size_t head = seed.size() - opened->body.size();
              std::string sealed;
              seal_record(opened->kind, opened->version, input.substr(std::min(head, input.size())),
                          sealed);
              decode_stored(sealed);
            }
          }};
}

FuzzTarget profile_target() {
  schema::SlicedScores scores;
  for (int n = 0; n < 2000; ++n) scores.add(n * 1'000'000, 0.001 * n);
  std::string bytes;
  scores.encode(bytes);
  return {"profile",
          {bytes, scores.profile().json()},
          {"\"bins\":", "[[", "]]", "-1", "1e400", "18446744073709551615", "\"effective\":"},
          [](std::string_view input) {
            std::string_view rest = input;
            (void)schema::ScoreSketch::decode(rest);
            rest = input;
            const auto sliced = schema::SlicedScores::decode(rest);
            if (sliced.ok()) (void)sliced->profile();
            const auto profile = schema::ScoreProfile::from_json(input);
            if (profile.ok()) QW_ASSERT(schema::ScoreProfile::from_json(profile->json()).ok());
          }};
}

// The body of a pushed request, told apart into records and decoded.
FuzzTarget push_target() {
  return {"push",
          {R"([ {"id":"a","amount":1.5} , {"count":7}, 3, [1,{}], "x" ])", R"({"id":"a\u00e9"})",
           "{\"id\":\"a\"}\n\r\n{\"id\":\"b\"}"},
          {"[", "]", "{", "}", ",", "\"", "\\", "\n", "\r\n", " ", "null", "\xEF\xBB\xBF"},
          [](std::string_view input) {
            for (const auto format : {streams::Format::kJson, streams::Format::kCsv})
              for (const char* type : {"application/json", "application/x-ndjson"}) {
                streams::DecodeOptions options;
                options.format = format;
                options.schema = event_schema();
                options.max_record_bytes = 64;
                if (format == streams::Format::kCsv) options.columns = {"id", "amount"};
                std::string body(input);
                const auto records = streams::http::split_body(body, type, options, 8);
                if (!records.ok()) continue;
                QW_ASSERT(!records->empty() && records->size() <= 8);
                const auto decoder = streams::make_decoder(options).value();
                schema::Batch rows(options.schema);
                for (const streams::http::BodyRecord& record : *records)
                  if (record.problem == streams::Frame::Problem::kNone)
                    (void)decoder->decode(record.text, rows);
                check_rows(rows);
              }
          }};
}

// What the monitors keep across a restart. An alert's state has a checksum of its own, made right
// again; the others are sealed by whoever stores them.
FuzzTarget kept_target() {
  std::string alert, drift, heal;
  monitor::encode_alert_state({}, alert);
  monitor::DriftWatch({}, std::nullopt).save(drift);
  monitor::Healer("h", {}).save(heal);
  return {"kept",
          {alert, drift, heal},
          {std::string(8, '\0'), std::string(8, '\xFF'), "\x7F\xF0", "\x01\x02"},
          [](std::string_view input) {
            (void)monitor::DriftWatch({}, std::nullopt).restore(input);
            (void)monitor::Healer("h", {}).restore(input);
            std::string sealed(input.substr(0, monitor::kAlertStateBytes - sizeof(uint64_t)));
            ByteWriter(sealed).u64(checksum64(sealed));
            const auto state = monitor::decode_alert_state(sealed);
            if (!state.ok()) return;
            std::string again;
            monitor::encode_alert_state(*state, again);
            // What an earlier version wrote is written anew as today's.
            QW_ASSERT(again == sealed || again.front() != sealed.front());
          }};
}

FuzzTarget window_target() {
  return {"window_and_type",
          {"7d/1h", "30s", "decimal(12,2)", "timestamp", "last(price) max_age 1h"},
          {"d", "h", "ms", "/", "decimal(", ",", ")", "9223372036854775807", "-", "0"},
          [](std::string_view input) {
            (void)schema::parse_type(input);
            (void)features::parse_duration_us(input);
            (void)features::parse_window(input);
          }};
}

std::vector<FuzzTarget> targets() {
  std::vector<FuzzTarget> all;
  all.push_back(json_target());
  all.push_back(csv_target());
  all.push_back(text_target());
  all.push_back(pattern_target());
  all.push_back(time_target());
  all.push_back(app_file_target());
  all.push_back(expression_target());
  all.push_back(stored_target());
  all.push_back(profile_target());
  all.push_back(window_target());
  all.push_back(push_target());
  all.push_back(kept_target());
  return all;
}

class Fuzz : public ::testing::TestWithParam<std::string> {};

TEST_P(Fuzz, TakesEverything) {
  for (const FuzzTarget& target : targets()) {
    if (target.name != GetParam()) continue;
    FuzzLimits limits;
    if (const char* seconds = std::getenv("QUICKWATER_FUZZ_S")) {
      limits.seconds = std::stoll(seconds);
      const char* seed = std::getenv("QUICKWATER_FUZZ_SEED");
      limits.seed = seed != nullptr ? std::stoull(seed) : entropy_seed();
    }
    const FuzzReport report = fuzz(target, limits);
    EXPECT_EQ(report.crashed, "") << "seed " << limits.seed << ", after " << report.inputs
                                  << " inputs, by\n"
                                  << as_literal(report.input);
    EXPECT_GE(report.inputs, target.seeds.size());
    RecordProperty("inputs", std::to_string(report.inputs));
  }
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const FuzzTarget& target : targets()) names.push_back(target.name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Decoders, Fuzz, ::testing::ValuesIn(target_names()),
                         [](const auto& info) { return info.param; });

// The canary: a length byte that is believed when two letters stand before it.
void decode_badly(std::string_view input) {
  if (input.size() < 3 || input[0] != 'q' || input[1] != 'w') return;
  QW_ASSERT(static_cast<size_t>(static_cast<unsigned char>(input[2])) <= input.size() - 3);
}

TEST(FuzzCanary, FindsThePlantedBug) {
  const FuzzReport report = fuzz({"canary", {"qw\x02xy", "nothing"}, {}, decode_badly}, {});
  EXPECT_NE(report.crashed, "") << "the fuzzer saw " << report.inputs << " inputs and no bug";
  EXPECT_EQ(report.input.substr(0, 2), "qw");
}

// And a decoder that never comes back.
TEST(FuzzCanary, FindsTheHang) {
  const auto decode = [](std::string_view input) {
    volatile bool forever = !input.empty() && input[0] == '\xFF';
    while (forever) {
    }
  };
  const FuzzReport report = fuzz({"hang", {"abc"}, {}, decode}, {.hang_s = 1});
  EXPECT_NE(report.crashed.find("signal 27"), std::string::npos) << report.crashed;
}

}  // namespace
}  // namespace qw::test
