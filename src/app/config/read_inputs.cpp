// Sources and features.
#include <fmt/format.h>

#include <initializer_list>

#include "app/config/internal/parts.h"
#include "streams/connectors/file/line_counter.h"
#include "streams/connectors/host/config.h"
#include "streams/connectors/kafka/config.h"

namespace qw::app::internal {
namespace {

HostSource read_host(const Cursor& at) {
  HostSource host;
  host.interval_us = at.duration_us("interval");
  host.processes = at.integer("processes");
  host.processes_max = at.integer("processes_max");
  host.idle_ttl_us = at.duration_us("idle_ttl");
  host.loopback = at.flag("loopback");
  host.disks = at.texts("disks");
  if (host.processes > host.processes_max)
    at.context().problems.error("bad_value", at.place("processes"),
                                fmt::format("'processes' ({}) is more than 'processes_max' ({})",
                                            host.processes, host.processes_max),
                                "raise processes_max: it counts idle commands too");
  return host;
}

std::optional<Counts> read_counts(const Cursor& at) {
  if (!at.given()) return std::nullopt;
  Counts counts;
  counts.interval_us = at.duration_us("interval");
  counts.counters = at.list("counters", [](const Cursor& one) {
    return Counter{one.name("metric"), one.name("field"), one.text("equals"),
                   one.flag("per_second")};
  });
  return counts;
}

FileSource read_file(const Cursor& at) {
  FileSource file;
  file.path = at.text("path");
  file.mode = at.choice<FileMode>("mode");
  file.speed = at.number("speed");
  file.series_column = at.name("series_column");
  file.from_end = at.flag("from_end");
  file.files_max = at.integer("files_max");
  file.counts = read_counts(at.group("counts"));
  Problems& problems = at.context().problems;
  if (at.has("speed") && file.mode != FileMode::kReplay)
    problems.error("misplaced_key", at.key_place("speed"),
                   "'speed' means nothing without mode: replay",
                   "add mode: replay, or remove speed");
  if (at.has("from_end") && file.mode != FileMode::kTail)
    problems.error("misplaced_key", at.key_place("from_end"),
                   "'from_end' means nothing without mode: tail",
                   "add mode: tail, or remove from_end");
  return file;
}

HttpSource read_http(const Cursor& at, const std::string& source) {
  HttpSource http;
  http.path = at.has("path") ? at.text("path") : "/v1/events/" + source;
  http.token = at.secret("token");
  http.records_max = at.integer("records_max");
  http.commit_timeout_us = at.duration_us("commit_timeout");
  http.pending_requests_max = at.integer("pending_requests_max");
  http.pending_bytes_max = at.size_bytes("pending_bytes_max");
  http.retry_after_us = at.duration_us("retry_after");
  if (!http.path.starts_with('/'))
    at.context().problems.error("bad_value", at.place("path"), "a path begins with /",
                                fmt::format("write /{}", http.path));
  return http;
}

KafkaSource read_kafka(const Cursor& at) {
  KafkaSource kafka;
  kafka.brokers = at.secret("brokers");
  kafka.topic = at.secret("topic");
  kafka.group = at.secret("group");
  kafka.start = at.choice<KafkaStart>("start");
  kafka.rebuild_max = at.integer("rebuild_max");
  kafka.client = read_kafka_client(at);
  return kafka;
}

Expectation read_expectation(const Cursor& at) {
  Expectation rule;
  rule.column = at.name("column");
  rule.not_null = at.flag("not_null");
  if (at.has("between")) rule.between = at.bounds("between");
  rule.in = at.texts("in");
  rule.matches = at.text("matches");
  rule.on_fail = at.choice<OnFail>("on_fail");
  rule.place = at.place();
  if (at.has("not_null") && !rule.not_null)
    at.context().problems.error("bad_value", at.place("not_null"), "not_null: false is no rule",
                                "write not_null: true, or remove the entry");
  if (at.has("in") && rule.in.empty())
    at.context().problems.error("bad_value", at.place("in"), "no value is allowed by an empty list",
                                "name the allowed values");
  return rule;
}

void read_format(const Cursor& at, Source& source) {
  source.format = at.choice<Format>("format");
  const Cursor csv = at.group("csv");
  const std::string delimiter = csv.text("delimiter");
  source.csv.delimiter = delimiter.empty() ? ',' : delimiter[0];
  if (delimiter.size() > 1)
    at.context().problems.error(
        "bad_value", csv.place("delimiter"),
        fmt::format("the delimiter '{}' has {} characters", delimiter, delimiter.size()),
        "write one character; \"\\t\" in double quotes for a tab");
  source.csv.columns = csv.texts("columns");
  source.csv.nulls = csv.has("nulls") ? csv.texts("nulls") : std::vector<std::string>{""};
  source.csv.rename = csv.name_map("rename");
  const Cursor text = at.group("text");
  source.text.pattern = text.text("pattern");
  source.text.place = text.place("pattern");
  const auto needs = [&](const char* group, Format format) {
    if (!at.has(group) || source.format == format) return;
    at.context().problems.error("misplaced_key", at.key_place(group),
                                fmt::format("'{0}' means nothing without format: {0}", group),
                                fmt::format("add format: {0}, or remove {0}", group));
  };
  needs("csv", Format::kCsv);
  needs("text", Format::kText);
  if (source.format == Format::kText && !at.has("text"))
    at.context().problems.error(
        "missing_key", at.place("format"), "format: text needs 'text' with a pattern",
        "for example text: { pattern: \"{ts:timestamp} {level} {message}\" }");
}

void read_schema(const Cursor& at, Source& source) {
  std::vector<schema::Field> fields;
  for (const auto& [name, node] : at.map("schema")) {
    const Result<schema::Type> type = schema::parse_type(node->text);
    fields.push_back({name.text, type.value_or(schema::kString), true});
    source.schema_places.push_back(name.place);
  }
  source.schema = schema::Schema(std::move(fields));
}

// Where the columns are ours, nothing about reading them is the user's to say.
void fix_columns(const Cursor& at, Source& source, const schema::Schema& columns, const char* whose,
                 std::initializer_list<const char*> refused) {
  std::string names;
  for (size_t i = 0; i < columns.size(); ++i) names += (i == 0 ? "" : ", ") + columns.field(i).name;
  for (const char* key : refused)
    if (at.has(key))
      at.context().problems.error("misplaced_key", at.key_place(key),
                                  fmt::format("'{}' means nothing for {}", key, whose),
                                  "its columns are fixed: " + names);
  source.schema = columns;
  source.schema_places.clear();
  source.event_time = {"ts", source.name.place};
  source.event_id = {};
}

bool counts_lines(const Source& source) {
  const auto* const file = std::get_if<FileSource>(&source.kind);
  return file != nullptr && file->counts.has_value();
}

}  // namespace

std::vector<std::pair<std::string, schema::Secret>> read_kafka_client(const Cursor& kafka) {
  auto client = kafka.secrets("client");
  size_t at = 0;
  for (const auto& [name, node] : kafka.map("client")) {
    if (at == client.size() || client[at].first != name.text) continue;  // reported as no scalar
    const auto checked =
        streams::kafka::check_client_setting(name.text, client[at++].second.reveal());
    if (!checked.ok())
      kafka.context().problems.error("bad_value", name.place, checked.error().message,
                                     checked.error().how_to_mend);
  }
  return client;
}

Source read_source(const Cursor& at) {
  Source source;
  source.name = at.name("name");
  Problems& problems = at.context().problems;
  read_format(at, source);
  read_schema(at, source);
  source.event_time = at.name("event_time");
  source.event_time_format = at.choice<TimeFormat>("event_time_format");
  source.event_time_zone = at.text("event_time_zone");
  source.event_id = at.name("event_id");
  source.dedup_horizon_us = source.event_id.empty() ? 0 : at.duration_us("dedup_horizon");
  source.dedup_memory_bytes = source.event_id.empty() ? 0 : at.size_bytes("dedup_memory");
  source.allowed_lateness_us = at.duration_us("allowed_lateness");
  source.lateness_written = at.has("allowed_lateness");
  source.late = at.choice<Late>("late");
  source.max_future_us = at.duration_us("max_future");
  source.max_record_bytes = at.size_bytes("max_record_bytes");
  source.expect = at.list("expect", read_expectation);
  // All kinds are asked for, so that each reports its own mistakes.
  source.kind = read_host(at.group("host"));
  if (at.has("file")) source.kind = read_file(at.group("file"));
  if (at.has("http")) source.kind = read_http(at.group("http"), source.name.text);
  if (at.has("kafka")) source.kind = read_kafka(at.group("kafka"));
  if (at.has("host")) {
    source.kind = read_host(at.group("host"));
    fix_columns(at, source, *streams::host::host_schema(), "a host source",
                {"format", "csv", "text", "event_time", "event_time_format", "event_time_zone",
                 "event_id", "schema"});
  } else if (counts_lines(source)) {
    fix_columns(at, source, *streams::file::counts_schema(), "a file whose lines are counted",
                {"event_time", "event_id", "schema"});
  } else {
    for (const char* key : {"event_time", "schema"})
      if (!at.has(key))
        problems.error("missing_key", at.place(),
                       fmt::format("this entry of 'sources' needs '{}'", key),
                       std::string(key) == "schema"
                           ? "for example schema: { ts: timestamp, value: double }"
                           : "name the timestamp column that says when an event happened");
  }
  return source;
}

void read_feature(const Cursor& at, AppFile& app) {
  if (at.has("derive")) {
    app.derives.push_back({at.name("derive"), at.expression("as")});
    return;
  }
  View view;
  view.name = at.name("view");
  view.from = at.name("from");
  view.key = at.names("key");
  view.windows = at.windows("windows");
  view.aggregates = at.expressions("aggregates");
  view.exclude_current = at.flag("exclude_current");
  view.max_rows = at.integer("max_rows");
  view.on_hot_key = at.choice<OnHotKey>("on_hot_key");
  view.place = at.place();
  app.views.push_back(std::move(view));
}

}  // namespace qw::app::internal
