// The application file as plain values: what a user wrote, checked for shape and names, nothing
// compiled.
//
// Each struct is one group of the file and each member is named as its key, with the unit added
// (`for` is `for_us`). Defaults, ranges and help of every key live in one place, the settings table
// (schema/settings.h); a member that the user left out holds the table's default after
// reading. Make these structs by reading YAML (app/config/read.h), also in tests.
// Values, owned by whoever holds them; immutable after reading; safe to read from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "schema/secret.h"
#include "schema/type.h"

namespace qw::app {

// Where something is written: line and column of the file, both from 1. {0, 0}: not in the file.
struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

// A name the user gave or refers to.
struct Name {
  std::string text;
  Place place;
  bool empty() const { return text.empty(); }
};

// Expression text for the compiler. `place` is its first character.
struct Expression {
  std::string text;
  Place place;
  // True when character i of `text` is at column place.column + i of the file; false for block
  // scalars, escapes and folded lines, where only the beginning is known.
  bool one_to_one = false;
  bool empty() const { return text.empty(); }
  // The place of a character of the expression, as exactly as it can be known.
  Place at(size_t offset) const {
    return one_to_one ? Place{place.line, place.column + static_cast<uint32_t>(offset)} : place;
  }
};

// `name: expression`, in the order of the file.
struct NamedExpression {
  Name name;
  Expression expression;
};

enum class Durability : uint8_t { kProcess, kMachine };  // survives kill -9 | survives a power cut

// `durability`: what a commit survives, how often one is made, and how long a restart may take.
struct DurabilitySettings {
  Durability events = Durability::kMachine;
  Durability decisions = Durability::kProcess;
  int64_t commit_interval_us = 0;
  int64_t replay_max_us = 0;               // how much event history a restart may have to replay
  int64_t state_ttl_us = 604'800'000'000;  // how long states are kept that nobody needs
};

// An entry of `retention`: how long, and how much of, a log's segments are kept.
struct Retention {
  int64_t max_age_us = 30LL * 24 * 3600 * 1'000'000;
  int64_t max_size_bytes = 4'000'000'000;
};
// `retention`: the same for every log.
struct RetentionSettings {
  Retention events, decisions, dead_letters, journal;
};
// `segments`: when records move from the database into files.
struct SegmentSettings {
  int64_t size_bytes = 8'000'000;
  int64_t age_us = 3'600'000'000;
  int64_t every_us = 10'000'000;
};

// `memory`: what the states of all keys may take while they are not needed on disk.
struct MemorySettings {
  int64_t views_bytes = 256'000'000;
  int64_t models_bytes = 1'000'000'000;
};

// `server`: where the page, the control API and the metrics are served.
struct Server {
  std::string address;
  uint16_t port = 0;               // 0: any free port
  std::vector<std::string> names;  // further Host names it answers to
};

// ---- sources

// This machine's own metrics; its columns are streams::host::host_schema():
// series ("cpu.total", "net.rx_bytes_per_s/eth0"), metric, entity (null when the metric is of the
// whole machine), value, ts.
struct HostSource {
  int64_t interval_us = 0;
  int64_t processes = 0;      // the top N command names by use; 0: none
  int64_t processes_max = 0;  // command names reported at once, idle ones included
  int64_t idle_ttl_us = 0;
  bool loopback = false;
  std::vector<std::string> disks;  // device names; empty: whole disks
};

// Text lines to numbers, one row per counter and interval.
struct Counter {
  Name metric;
  Name field;  // the counter takes lines whose field equals `equals`; empty: every line
  std::string equals;
  bool per_second = false;
};
// `counts` of a file source: text lines are counted, and the counts are the events.
struct Counts {
  int64_t interval_us = 0;
  std::vector<Counter> counters;
};

enum class FileMode : uint8_t { kRead, kTail, kReplay };
// `file`: files of one format, read to their end, followed, or replayed at a speed.
struct FileSource {
  std::string path;  // a file, folder or glob; absolute, or relative to the app file's folder
  FileMode mode = FileMode::kRead;
  double speed = 0;              // replay only: times real time; 0: as fast as possible
  Name series_column;            // filled with the file's name; empty: none
  bool from_end = false;         // tail only
  int64_t files_max = 0;         // each file is a partition
  std::optional<Counts> counts;  // format text only
};

// `http`: events are pushed to this program, one or many in a request.
struct HttpSource {
  std::string path;         // where events are pushed to: "/v1/events/NAME"
  schema::Secret token;     // empty: not asked for
  int64_t records_max = 0;  // in one request
  int64_t commit_timeout_us = 0;
  int64_t pending_requests_max = 0;
  int64_t pending_bytes_max = 0;
  int64_t retry_after_us = 0;
};

enum class KafkaStart : uint8_t { kEarliest, kLatest };
// `kafka`: a topic, read as a member of a consumer group.
struct KafkaSource {
  schema::Secret brokers;
  schema::Secret topic;
  schema::Secret group;
  KafkaStart start = KafkaStart::kEarliest;  // where neither we nor the group have a position
  int64_t rebuild_max = 10'000'000;          // records read again at a take-over
  // Further librdkafka properties, as written: security.protocol, sasl.password, ...
  std::vector<std::pair<std::string, schema::Secret>> client;
};

enum class Format : uint8_t { kJson, kCsv, kText };
// `csv`: how CSV text is laid out; means something with Format::kCsv only.
struct CsvFormat {
  char delimiter = ',';
  std::vector<std::string> columns;           // empty: the first record of each file names them
  std::vector<std::string> nulls;             // unquoted cells that mean null
  std::vector<std::pair<Name, Name>> rename;  // column of the data -> column of the schema
};
// `text`: how a line of text becomes columns; means something with Format::kText only.
struct TextFormat {
  std::string pattern;  // literal characters and {name} or {name:type} parts
  Place place;
};

enum class TimeFormat : uint8_t { kIso8601, kEpochSeconds, kEpochMillis, kEpochMicros, kCommonLog };
enum class OnFail : uint8_t { kWarn, kQuarantine, kDrop, kNull };
enum class Late : uint8_t { kLog, kDecide, kDeadLetter };
// A data-quality rule; exactly one of the tests is set.
struct Expectation {
  Name column;
  bool not_null = false;
  std::optional<std::pair<std::optional<double>, std::optional<double>>> between;  // inclusive ends
  std::vector<std::string> in;
  std::string matches;  // RE2 syntax, the whole text
  OnFail on_fail = OnFail::kQuarantine;
  Place place;
};

// An entry of `sources`: where events come from, how they are decoded, timed and judged.
struct Source {
  Name name;
  std::variant<HostSource, FileSource, HttpSource, KafkaSource> kind;
  Format format = Format::kJson;
  CsvFormat csv;
  TextFormat text;
  Name event_time;  // the column
  TimeFormat event_time_format = TimeFormat::kIso8601;
  std::string event_time_zone;     // IANA name or "+02:00"; empty: the text must carry its offset
  Name event_id;                   // the column for deduplication; empty: no deduplication
  int64_t dedup_horizon_us = 0;    // 0 when event_id is empty
  int64_t dedup_memory_bytes = 0;  // 0 when event_id is empty
  int64_t allowed_lateness_us = 0;
  bool lateness_written = false;  // it is not the default
  Late late = Late::kLog;
  int64_t max_future_us = 0;
  int64_t max_record_bytes = 0;
  schema::Schema schema;             // for `host` the fixed one
  std::vector<Place> schema_places;  // of each column; empty for `host`
  std::vector<Expectation> expect;

  // "host", "file", "http" or "kafka".
  const char* kind_name() const;
};

// ---- features

// (t - size, t], or with a step: from floor(t - size, step).
struct Window {
  int64_t size_us = 0;
  int64_t step_us = 0;  // 0: exact
  std::string text;     // as written: "7d/1h"
  Place place;
  // The suffix of feature names: "7d" or "7d_by_1h".
  std::string suffix() const;
};

enum class OnHotKey : uint8_t { kReject };
// An entry of `features` with `view`: aggregates of one source by key, over windows.
struct View {
  Name name;              // `view`
  Name from;              // a source
  std::vector<Name> key;  // columns of it
  std::vector<Window> windows;
  std::vector<NamedExpression> aggregates;  // name -> "sum(amount)"
  bool exclude_current = false;
  int64_t max_rows = 0;
  OnHotKey on_hot_key = OnHotKey::kReject;
  Place place;
};

// An entry of `features` with `derive`: an expression over columns and other features.
struct Derive {
  Name name;  // `derive`
  Expression as;
};

// ---- models

// A number, truth value or text of `settings`.
struct ModelSetting {
  Name name;  // "knn.k"
  std::variant<bool, double, std::string> value;
  Place place;
};

// `registry:NAME@ALIAS`, or `registry:NAME@7` for a fixed version.
struct VersionRef {
  std::string model;
  std::string alias;
  Place place;
};

// An entry of `models`: what scores an event.
struct Model {
  Name name;
  // Exactly one of the three says what scores: `detector` (learns by itself; a registry version may
  // take its place), `rules`, or `versions` alone.
  Name detector;  // ensemble, knn, seasonal, relative_entropy, activity, half_space_trees
  std::vector<ModelSetting> settings;
  std::vector<NamedExpression> rules;
  std::optional<VersionRef> champion;  // versions.champion
  std::vector<Name> key;               // columns that name a series
  std::vector<Name> inputs;            // columns, view.feature, or derived names
  Place place;
};

// ---- decisions

// How a webhook is called, by a sink or a healing action.
struct Webhook {
  schema::Secret url;
  schema::Secret secret;  // key of the HMAC signature; empty: unsigned
  int64_t timeout_us = 0;
  std::vector<std::pair<std::string, schema::Secret>> headers;
};

// `log`: each row is one line of JSON in a file or on standard error.
struct LogSink {
  std::string path;  // one JSON object a line; empty: standard error
};
// `kafka`: each row is one record of a topic.
struct KafkaSink {
  schema::Secret brokers;
  schema::Secret topic;
  std::vector<std::pair<std::string, schema::Secret>> client;  // further librdkafka properties
};
// `webhook`: each row is one POST.
struct WebhookSink {
  Webhook webhook;
};
// `alertmanager`: alerts, told to Alertmanager's API.
struct AlertmanagerSink {
  schema::Secret url;
  int64_t timeout_us = 0;
  int64_t resend_us = 60'000'000;  // an open alert is sent again so often
};

enum class Send : uint8_t { kDecisions, kAlerts };
enum class OnFull : uint8_t { kPause, kDropCounted };
// An entry of `sinks`: where a decision or its alerts are delivered, and how hard that is tried.
struct Sink {
  Name name;  // unique in the app; "DECISION.KIND" when the user gave none
  std::variant<LogSink, KafkaSink, WebhookSink, AlertmanagerSink> kind;
  Send send = Send::kDecisions;
  Expression when;  // empty: always
  int64_t attempts = 0;
  int64_t retry_for_us = 0;
  OnFull on_full = OnFull::kPause;
  Place place;

  // "log", "kafka", "webhook" or "alertmanager".
  const char* kind_name() const;
};

// `alert` of a decision: when its outputs become an alert, and when the alert ends.
struct Alert {
  Expression severity;  // an output's name or an expression: 'info', 'warning', 'critical', or null
  int64_t for_us = 0;
  int64_t cooldown_us = 0;
  int64_t resolve_after_us = 0;
  std::optional<int64_t> stale_after_us;  // nothing: learnt from how often the key is heard of
  int64_t flap_fires = 3;
  int64_t flap_window_us = 600'000'000;
  int64_t flap_resolve_after_us = 120'000'000;
  int64_t keys_max = 1'000'000;
  Expression summary;  // text with {names} of columns, features and outputs; empty: made by us
  Place place;
};

// `command` of a healing action: a program of the allow-list.
struct CommandAction {
  Name run;  // a name of `healing.commands`
  int64_t timeout_us = 0;
};

// An entry of `heal`: what is done about an alert, how often, and when it is given up.
struct Heal {
  Name name;  // unique in the app
  std::variant<Webhook, CommandAction> action;
  Expression when;  // empty: every alert of the decision
  int64_t recover_within_us = 0;
  int64_t limit_count = 0;   // `limit: 3/10m`: at most this many ...
  int64_t limit_per_us = 0;  // ... in any span this long
  bool dry_run = false;
  int64_t stop_after = 0;  // actions in a row without recovery
  Place place;
};

// An entry of `decisions`: what is decided on each event of a source, and who is told.
struct Decision {
  Name name;
  Name on;  // a source
  Name model;
  Expression when;  // empty: every event of the source
  std::vector<NamedExpression> output;
  std::optional<Alert> alert;
  std::vector<Sink> sinks;
  std::vector<Heal> heal;
  Place place;
};

// The allow-list: nothing else can ever be started.
struct Command {
  Name name;
  std::vector<std::string> arguments;  // the program's absolute path, then its arguments; no shell
};
// `healing`: whether actions act at all, and the only programs they may start.
struct Healing {
  bool enabled = false;  // false: every healing action is only recorded as dry run
  std::vector<Command> commands;
};

// ---- monitors, training, demo

enum class DriftTest : uint8_t { kAuto, kKs };
enum class DriftReference : uint8_t { kTraining, kStart };
enum class Severity : uint8_t { kNone, kInfo, kWarning, kCritical };
// An entry of `monitors`: how a model is watched for drift, and what drift leads to.
struct Monitor {
  Name model;
  DriftTest drift = DriftTest::kAuto;
  DriftReference reference = DriftReference::kTraining;
  int64_t every_us = 0;
  double threshold = 0;  // least distance that counts as drift; 0: the test's own
  Severity alert = Severity::kWarning;
  std::vector<Name> sinks;  // empty: all sinks of alerts of the decisions that use the model
  Name retrain;             // a training; empty: none
  Place place;
};

// `METRIC: ">= champion - 0.5"` or `METRIC: ">= 60"`.
struct Gate {
  Name metric;
  bool against_champion = false;
  double offset = 0;    // added to the champion's value, or the value itself
  bool strict = false;  // > instead of >=
  Place place;
};

enum class Then : uint8_t { kPublish, kSwap };
// An entry of `training`: how a better version of a model is searched, judged and published.
struct Training {
  Name name;
  Name model;
  std::string trainer;           // detector_search
  bool label_verdicts = false;   // labels.from: verdicts
  bool label_incidents = false;  // labels.from: incidents
  std::string label_nab;         // labels.nab: a folder in NAB's layout; empty: none
  int64_t labels_at_least = 0;
  int64_t search_trials = 0;
  int64_t search_seconds = 0;
  double held_out = 0;  // share of the labelled history that decides, 0..1
  std::vector<Gate> gate;
  Then then = Then::kSwap;
  Place place;
};

// `demo`: what only a demonstration has.
struct Demo {
  bool incidents = false;  // the incident button and command
  std::string labels;      // a file of labelled windows; empty: none
};

// The whole file. The file's order is kept in every list.
struct AppFile {
  std::string path;    // as given on the command line; "" when read from text
  std::string folder;  // of the file; relative paths in it start here
  Name app;
  std::string data;  // folder, as written (absolute or relative to `folder`)
  DurabilitySettings durability;
  int64_t stop_timeout_us = 10'000'000;
  RetentionSettings retention;
  SegmentSettings segments;
  MemorySettings memory;
  Server server;
  std::vector<Source> sources;
  std::vector<View> views;      // `features` entries with `view`, in order
  std::vector<Derive> derives;  // `features` entries with `derive`, in order
  std::vector<Model> models;
  std::vector<Decision> decisions;
  Healing healing;
  std::vector<Monitor> monitors;
  std::vector<Training> training;
  Demo demo;

  // "app.yaml:12:7".
  std::string where(Place place) const;
  // The path of a file named in the app file, resolved against `folder`.
  std::string resolve(const std::string& path) const;
  const Source* source(const std::string& name) const;
  const View* view(const std::string& name) const;
  const Model* model(const std::string& name) const;
  const Decision* decision(const std::string& name) const;
};

}  // namespace qw::app
