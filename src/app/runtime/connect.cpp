#include "app/runtime/connect.h"

#include <fmt/format.h>

#include "streams/decoders/decoder.h"

namespace qw::app {
namespace {

using Connector = decltype(streams::SourceConfig::connector);
using SinkKind = decltype(streams::SinkConfig::kind);

std::map<std::string, std::string> revealed(
    const std::vector<std::pair<std::string, schema::Secret>>& properties) {
  std::map<std::string, std::string> plain;
  for (const auto& [name, value] : properties) plain.emplace(name, value.reveal());
  return plain;
}

streams::DecodeOptions decode_options_of(const PlanSource& source) {
  const Source& file = *source.file;
  streams::DecodeOptions options;
  options.schema = source.schema;
  options.zone = file.event_time_zone;
  options.max_record_bytes = static_cast<size_t>(file.max_record_bytes);
  switch (file.event_time_format) {
    case TimeFormat::kIso8601: options.time_form = streams::TimeForm::kIso8601; break;
    case TimeFormat::kEpochSeconds: options.time_form = streams::TimeForm::kEpochSeconds; break;
    case TimeFormat::kEpochMillis: options.time_form = streams::TimeForm::kEpochMillis; break;
    case TimeFormat::kCommonLog: options.time_form = streams::TimeForm::kCommonLog; break;
    case TimeFormat::kEpochMicros: options.time_form = streams::TimeForm::kEpochMicros; break;
  }
  switch (file.format) {
    case Format::kJson: options.format = streams::Format::kJson; break;
    case Format::kCsv: options.format = streams::Format::kCsv; break;
    case Format::kText: options.format = streams::Format::kText; break;
  }
  options.delimiter = file.csv.delimiter;
  options.columns = file.csv.columns;
  options.null_texts = file.csv.nulls;
  for (const auto& [from, to] : file.csv.rename) options.rename.emplace(from.text, to.text);
  options.pattern = file.text.pattern;
  return options;
}

streams::OnFail on_fail_of(OnFail written) {
  switch (written) {
    case OnFail::kWarn: return streams::OnFail::kWarn;
    case OnFail::kQuarantine: return streams::OnFail::kQuarantine;
    case OnFail::kDrop: return streams::OnFail::kDrop;
    case OnFail::kNull: return streams::OnFail::kNull;
  }
  return streams::OnFail::kQuarantine;
}

streams::Expectation expectation_of(const Expectation& written) {
  streams::Expectation rule;
  rule.column = written.column.text;
  rule.on_fail = on_fail_of(written.on_fail);
  if (written.not_null)
    rule.rule = streams::NotNull{};
  else if (written.between)
    rule.rule = streams::Between{written.between->first, written.between->second};
  else if (!written.in.empty())
    rule.rule = streams::InSet{written.in};
  else
    rule.rule = streams::Matches{written.matches};
  return rule;
}

streams::file::Mode mode_of(FileMode mode) {
  switch (mode) {
    case FileMode::kRead: return streams::file::Mode::kRead;
    case FileMode::kTail: return streams::file::Mode::kTail;
    case FileMode::kReplay: return streams::file::Mode::kReplay;
  }
  return streams::file::Mode::kRead;
}

struct ConnectorOf {
  const Plan& plan;
  const PlanSource& source;
  const std::shared_ptr<streams::kafka::GroupMember>& member;

  Connector operator()(const HostSource& host) const {
    streams::host::Config config;
    config.interval_ms = host.interval_us / 1000;
    config.top_processes = static_cast<size_t>(host.processes);
    config.max_processes = static_cast<size_t>(host.processes_max);
    config.process_idle_ttl_s = host.idle_ttl_us / 1'000'000;
    config.loopback = host.loopback;
    config.disks = host.disks;
    return config;
  }
  Connector operator()(const FileSource& file) const {
    streams::file::Config config;
    config.path = plan.file.resolve(file.path);
    config.mode = mode_of(file.mode);
    config.speed = file.speed;
    config.series_column = file.series_column.text;
    config.from_end = file.from_end;
    if (file.counts) config.counts = counts_of(*file.counts);
    if (file.files_max > 0) config.max_files = static_cast<size_t>(file.files_max);
    return config;
  }
  streams::file::Counts counts_of(const Counts& written) const {
    streams::file::Counts counts;
    counts.interval_us = written.interval_us;
    // Lines of one log are in order: an interval waits for late ones only when asked to.
    counts.lateness_us = source.file->lateness_written ? source.file->allowed_lateness_us : 0;
    counts.max_future_us = source.file->max_future_us;
    for (const Counter& one : written.counters)
      counts.counters.push_back({one.metric.text, one.field.text, one.equals, one.per_second});
    return counts;
  }
  Connector operator()(const HttpSource& http) const {
    streams::http::Config config;
    config.path = http.path;
    config.token = http.token.reveal();
    if (http.records_max > 0) config.max_records = static_cast<size_t>(http.records_max);
    if (http.commit_timeout_us > 0) config.commit_timeout_ms = http.commit_timeout_us / 1000;
    if (http.pending_requests_max > 0)
      config.max_pending_requests = static_cast<size_t>(http.pending_requests_max);
    if (http.pending_bytes_max > 0)
      config.max_pending_bytes = static_cast<size_t>(http.pending_bytes_max);
    // Rounded up: the sender is not told to come before its time.
    if (http.retry_after_us > 0) config.retry_after_s = (http.retry_after_us + 999'999) / 1'000'000;
    return config;
  }
  Connector operator()(const KafkaSource& kafka) const {
    streams::kafka::Config config;
    config.brokers = kafka.brokers.reveal();
    config.topic = kafka.topic.reveal();
    config.group = kafka.group.reveal();
    config.start = kafka.start == KafkaStart::kEarliest ? streams::kafka::Start::kEarliest
                                                        : streams::kafka::Start::kLatest;
    config.client = revealed(kafka.client);
    config.rebuild_max = kafka.rebuild_max;
    config.member = member;
    // Leaving takes less than the half of a stop that sources have, with what is flushed on the
    // way.
    config.leave_timeout_ms =
        std::min(config.leave_timeout_ms, plan.file.stop_timeout_us / 1'000 * 2 / 5);
    for (const features::StoredView& view : source.views)
      config.remember_us = std::max(config.remember_us, view.view->keep_us());
    if (!source.file->event_id.text.empty())
      config.remember_us = std::max(config.remember_us, source.file->dedup_horizon_us);
    return config;
  }
};

// What decides which cluster a client reaches, and as whom.
std::map<std::string, std::string> access_of(
    const schema::Secret& brokers,
    const std::vector<std::pair<std::string, schema::Secret>>& properties) {
  std::map<std::string, std::string> access = revealed(properties);
  std::erase_if(access, [](const auto& one) {
    return !one.first.starts_with("security.") && !one.first.starts_with("sasl.") &&
           !one.first.starts_with("ssl.");
  });
  access.emplace("brokers", brokers.reveal());
  return access;
}

struct SinkKindOf {
  const Plan& plan;
  const PlanSource& source;
  const Sink& sink;
  const std::shared_ptr<streams::kafka::GroupMember>& member;
  const std::string& data_folder_id;

  SinkKind operator()(const LogSink& log) const {
    return streams::LogSinkConfig{log.path.empty() ? std::string() : plan.file.resolve(log.path)};
  }
  SinkKind operator()(const KafkaSink& kafka) const {
    streams::KafkaSinkConfig config;
    config.brokers = kafka.brokers.reveal();
    config.topic = kafka.topic.reveal();
    config.transactional_id = fmt::format("{}-{}", plan.file.app.text, sink.name.text);
    // Members of a group run the same application beside each other, each with a data folder.
    const auto* group = std::get_if<KafkaSource>(&source.file->kind);
    if (group != nullptr) config.transactional_id += "-" + data_folder_id;
    if (writes_with(source, sink))
      config.source = {stream_of(source), group->topic.reveal(),
                       fmt::format("{}-{}", group->group.reveal(), sink.name.text), member};
    config.owner = data_folder_id;
    config.client = revealed(kafka.client);
    return config;
  }
  SinkKind operator()(const WebhookSink& webhook) const {
    return webhook_config_of(webhook.webhook);
  }
  SinkKind operator()(const AlertmanagerSink& alertmanager) const {
    streams::AlertmanagerSinkConfig config;
    config.url = alertmanager.url.reveal();
    config.timeout_ms = static_cast<int>(alertmanager.timeout_us / 1000);
    config.resend_ms = alertmanager.resend_us / 1000;
    config.ends_after_ms = 4 * config.resend_ms;
    return config;
  }
};

streams::LateEvents late_of(Late late) {
  switch (late) {
    case Late::kDecide: return streams::LateEvents::kDecide;
    case Late::kDeadLetter: return streams::LateEvents::kDeadLetter;
    case Late::kLog: break;
  }
  return streams::LateEvents::kLog;
}

Error placed(const Plan& plan, Place place, Error error) {
  error.where = error.where.empty() ? plan.file.where(place)
                                    : fmt::format("{} ({})", plan.file.where(place), error.where);
  return error;
}

}  // namespace

bool writes_with(const PlanSource& source, const Sink& sink) {
  const auto* from = std::get_if<KafkaSource>(&source.file->kind);
  const auto* to = std::get_if<KafkaSink>(&sink.kind);
  return from != nullptr && to != nullptr && sink.send == Send::kDecisions &&
         access_of(from->brokers, from->client) == access_of(to->brokers, to->client);
}

std::string stream_of(const PlanSource& source) {
  const auto& kafka = std::get<KafkaSource>(source.file->kind);
  return fmt::format("{}/{}", kafka.group.reveal(), kafka.topic.reveal());
}

GroupMembers group_members(const Plan& plan) {
  GroupMembers members(plan.sources.size());
  for (const PlanDecision& decision : plan.decisions)
    for (const PlanSink& sink : decision.sinks)
      if (!members[decision.source] && writes_with(plan.sources[decision.source], *sink.file))
        members[decision.source] = std::make_shared<streams::kafka::GroupMember>();
  return members;
}

streams::GateOptions gate_options_of(const PlanSource& source) {
  const Source& file = *source.file;
  streams::GateOptions options;
  options.source = source.name;
  options.schema = source.schema;
  options.event_time = file.event_time.text;
  options.event_id = file.event_id.text;
  options.allowed_lateness_us = file.allowed_lateness_us;
  options.imported_is_late = file.lateness_written;
  options.late = late_of(file.late);
  options.max_future_us = file.max_future_us;
  if (file.dedup_horizon_us > 0) options.dedup_horizon_us = file.dedup_horizon_us;
  if (file.dedup_memory_bytes > 0)
    options.dedup_memory_bytes = static_cast<size_t>(file.dedup_memory_bytes);
  for (const Expectation& rule : file.expect) options.expectations.push_back(expectation_of(rule));
  return options;
}

std::vector<Complaint> check_source(const PlanSource& source) {
  const Source& file = *source.file;
  std::vector<Complaint> complaints;
  if (!std::holds_alternative<HostSource>(file.kind)) {
    const auto decoder = streams::make_decoder(decode_options_of(source));
    if (!decoder.ok())
      complaints.emplace_back(file.format == Format::kText ? file.text.place : file.name.place,
                              decoder.error());
  }
  for (const Expectation& rule : file.expect) {
    const auto compiled = streams::CompiledExpectation::make(expectation_of(rule), *source.schema);
    if (!compiled.ok()) complaints.emplace_back(rule.place, compiled.error());
  }
  return complaints;
}

streams::WebhookSinkConfig webhook_config_of(const Webhook& webhook) {
  streams::WebhookSinkConfig config;
  config.url = webhook.url.reveal();
  config.secret = webhook.secret.reveal();
  for (const auto& [name, value] : webhook.headers)
    config.headers.emplace_back(name, value.reveal());
  config.timeout_ms = static_cast<int>(webhook.timeout_us / 1000);
  return config;
}

Result<std::unique_ptr<streams::Source>> connect_source(const Plan& plan, size_t index,
                                                        const GroupMembers& members,
                                                        const streams::Surroundings& surroundings) {
  const PlanSource& source = plan.sources[index];
  streams::SourceConfig config;
  config.name = source.name;
  config.event_time = source.file->event_time.text;
  config.decode = decode_options_of(source);
  config.connector = std::visit(ConnectorOf{plan, source, members[index]}, source.file->kind);
  auto made = streams::make_source(config, surroundings);
  if (!made.ok()) return placed(plan, source.file->name.place, made.error());
  return made;
}

Result<std::unique_ptr<streams::Sink>> connect_sink(const Plan& plan, size_t source,
                                                    const Sink& sink, const GroupMembers& members,
                                                    const streams::Surroundings& surroundings) {
  streams::SinkConfig config;
  config.name = sink.name.text;
  config.kind = std::visit(
      SinkKindOf{plan, plan.sources[source], sink, members[source], surroundings.data_folder_id},
      sink.kind);
  auto made = streams::make_sink(config, surroundings);
  if (!made.ok()) return placed(plan, sink.place, made.error());
  return made;
}

streams::OutboxOptions outbox_options_of(const Sink& sink) {
  streams::OutboxOptions options;
  options.sink = sink.name.text;
  options.deadline_ms = sink.retry_for_us / 1000;
  options.attempts_max = static_cast<uint64_t>(sink.attempts);
  options.on_full =
      sink.on_full == OnFull::kPause ? streams::OnFull::kPause : streams::OnFull::kDropCounted;
  return options;
}

}  // namespace qw::app
