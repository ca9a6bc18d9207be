// Do names lead somewhere, and fit what they lead to? What expressions hold is the compiler's work.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/config/internal/parts.h"
#include "streams/decoders/text.h"

namespace qw::app::internal {
namespace {

using Names = std::vector<std::string>;

template <class T>
Names names_of(const std::vector<T>& all) {
  Names names;
  for (const T& one : all) {
    // A name that was reported as impossible is like one that is missing.
    const bool good = schema::check_name(one.name.text, schema::SettingKind::kName).ok();
    names.push_back(good ? one.name.text : "");
  }
  return names;
}

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Names columns_of(const Source& source) {
  Names names;
  for (const schema::Field& field : source.schema.fields()) names.push_back(field.name);
  return names;
}

Names outputs_of(const Decision& decision) {
  Names names;
  for (const NamedExpression& output : decision.output) names.push_back(output.name.text);
  return names;
}

Names features_of(const View& view) {
  Names names;
  for (const NamedExpression& aggregate : view.aggregates)
    for (const Window& window : view.windows)
      names.push_back(
          fmt::format("{}.{}_{}", view.name.text, aggregate.name.text, window.suffix()));
  return names;
}

void append(Names& to, const Names& more) { to.insert(to.end(), more.begin(), more.end()); }

class NameCheck {
 public:
  NameCheck(const AppFile& app, Problems& problems) : app_(app), problems_(problems) {}

  void run() {
    unique();
    for (const Source& source : app_.sources) check(source);
    for (const View& view : app_.views) check(view);
    for (const Decision& decision : app_.decisions) check(decision);
    for (const Model& model : app_.models) check(model);
    std::set<std::string> monitored;
    for (const Monitor& monitor : app_.monitors) check(monitor, monitored);
    for (const Training& training : app_.training) check(training);
    if (!problems_.any_error()) advice();
  }

 private:
  void unique();
  void once(std::set<std::string>& seen, const Name& name, std::string_view what);
  void check(const Source& source);
  void check(const Source& source, const Expectation& rule);
  void check_pattern(const Source& source);
  void check(const View& view);
  void check(const Model& model);
  void check_input(const Model& model, const Name& input, const Source* source);
  void check(const Decision& decision);
  void check_alert(const Decision& decision, const Source* source);
  void check_summary(const Expression& summary, const Names& names);
  void check(const Monitor& monitor, std::set<std::string>& monitored);
  void check(const Training& training);
  void advice();

  bool known(const Name& name, std::string_view what, const Names& names) {
    if (name.empty()) return false;  // missing, reported before
    if (contains(names, name.text)) return true;
    // What is missing may be the part whose own key or name was reported as wrong: say it once.
    if (contains(names, "") || (names.empty() && problems_.has("unknown_key"))) return false;
    problems_.error("unknown_name", name.place, fmt::format("there is no {} '{}'", what, name.text),
                    names.empty() ? fmt::format("this file has no {} at all", what)
                                  : schema::suggestion(name.text, names));
    return false;
  }
  // The column's type, when it is there.
  const schema::Type* column(const Source& source, const Name& name) {
    const auto index = source.schema.index_of(name.text);
    if (index.has_value()) return &source.schema.field(*index).type;
    if (!name.empty() && source.schema.size() > 0)
      problems_.error("unknown_name", name.place,
                      fmt::format("source '{}' has no column '{}'", source.name.text, name.text),
                      schema::suggestion(name.text, columns_of(source)));
    return nullptr;
  }
  void wrong_column(const Name& name, const schema::Type& type, std::string_view wanted) {
    problems_.error("wrong_type", name.place,
                    fmt::format("column '{}' is {}, not {}", name.text, type.to_string(), wanted),
                    fmt::format("name a {} column, or change its type in the schema", wanted));
  }

  const AppFile& app_;
  Problems& problems_;
};

void NameCheck::once(std::set<std::string>& seen, const Name& name, std::string_view what) {
  if (!name.empty() && !seen.insert(name.text).second)
    problems_.error("duplicate_name", name.place,
                    fmt::format("there are two {}s called '{}'", what, name.text),
                    "give each a name of its own");
}

void NameCheck::unique() {
  const auto all = [this](const auto& parts, std::string_view what) {
    std::set<std::string> seen;
    for (const auto& part : parts) once(seen, part.name, what);
  };
  all(app_.sources, "source");
  std::set<std::string> paths;
  for (const Source& source : app_.sources)
    if (const auto* http = std::get_if<HttpSource>(&source.kind);
        http != nullptr && !paths.insert(http->path).second)
      problems_.error("duplicate_name", source.name.place,
                      fmt::format("another source already takes what is posted to {}", http->path),
                      "give each http source a path of its own");
  all(app_.models, "model");
  all(app_.decisions, "decision");
  all(app_.training, "training");
  std::set<std::string> features;
  for (const View& view : app_.views) once(features, view.name, "feature");
  for (const Derive& derive : app_.derives) once(features, derive.name, "feature");
  std::set<std::string> sinks;
  std::set<std::string> heals;
  for (const Decision& decision : app_.decisions) {
    for (const Sink& sink : decision.sinks) once(sinks, sink.name, "sink");
    for (const Heal& heal : decision.heal) once(heals, heal.name, "healing action");
  }
}

void NameCheck::check(const Source& source) {
  if (const schema::Type* type = column(source, source.event_time);
      type != nullptr && type->kind != schema::Kind::kTimestamp)
    wrong_column(source.event_time, *type, "timestamp");
  if (const schema::Type* type = column(source, source.event_id);
      type != nullptr && type->kind != schema::Kind::kString && type->kind != schema::Kind::kInt64)
    wrong_column(source.event_id, *type, "string or int64");
  if (const auto* file = std::get_if<FileSource>(&source.kind)) {
    if (const schema::Type* type = column(source, file->series_column);
        type != nullptr && type->kind != schema::Kind::kString)
      wrong_column(file->series_column, *type, "string");
    if (file->counts.has_value() && source.format != Format::kText)
      problems_.error(
          "misplaced_key", source.name.place,
          fmt::format("source '{}' has 'counts' but not format: text", source.name.text),
          "counts turns text lines into numbers; add format: text");
  }
  if (source.format == Format::kText && !source.text.pattern.empty()) check_pattern(source);
  for (const auto& [from, to] : source.csv.rename) column(source, to);
  for (const Expectation& rule : source.expect) check(source, rule);
}

// That the pattern can be read, and names what the counters of `counts` look at.
void NameCheck::check_pattern(const Source& source) {
  const auto pattern = streams::TextPattern::parse(source.text.pattern);
  if (!pattern.ok()) {
    problems_.error("bad_value", source.text.place, pattern.error().message,
                    pattern.error().how_to_mend);
    return;
  }
  const auto* const file = std::get_if<FileSource>(&source.kind);
  if (file == nullptr || !file->counts) return;
  Names fields;
  for (const auto& part : pattern->parts()) fields.push_back(part.field);
  if (!contains(fields, "ts"))
    problems_.error("bad_value", source.text.place,
                    "the pattern has no field 'ts', the time of a line",
                    "write {ts} where the line has its time");
  std::erase(fields, "");  // the end of the pattern
  std::set<std::string> metrics;
  for (const Counter& counter : file->counts->counters) {
    once(metrics, counter.metric, "metric");
    known(counter.field, "field of the pattern", fields);
  }
}

void NameCheck::check(const Source& source, const Expectation& rule) {
  const schema::Type* const type = column(source, rule.column);
  if (type == nullptr) return;
  if (!rule.matches.empty() && type->kind != schema::Kind::kString)
    wrong_column(rule.column, *type, "string");
  if (!rule.between.has_value()) return;
  if (!type->is_numeric()) wrong_column(rule.column, *type, "numeric");
  const auto& [low, high] = *rule.between;
  if (low.has_value() && high.has_value() && *low > *high)
    problems_.error("bad_value", rule.place,
                    fmt::format("between [{}, {}] lets nothing pass", *low, *high),
                    "write the lower bound first");
}

void NameCheck::check(const View& view) {
  std::set<std::string> windows;
  for (const Window& window : view.windows)
    if (!windows.insert(window.text).second)
      problems_.error("duplicate_name", window.place,
                      fmt::format("the window '{}' is given twice", window.text), "keep one");
  // A view that is new or changed is built from the events that are kept.
  const int64_t kept_us = app_.retention.events.max_age_us;
  for (const Window& window : view.windows)
    if (window.size_us + window.step_us > kept_us)
      problems_.error("bad_value", window.place,
                      fmt::format("the window '{}' is longer than events are kept ({})",
                                  window.text, schema::format_duration(kept_us)),
                      "raise retention.events.max_age, or choose a shorter window");
  if (!known(view.from, "source", names_of(app_.sources))) return;
  const Source* const source = app_.source(view.from.text);
  for (const Name& key : view.key) column(*source, key);
}

void NameCheck::check_input(const Model& model, const Name& input, const Source* source) {
  const size_t dot = input.text.find('.');
  if (dot != std::string::npos) {
    const std::string view_name = input.text.substr(0, dot);
    const View* const view = app_.view(view_name);
    if (view == nullptr) {
      known({view_name, input.place}, "view", names_of(app_.views));
      return;
    }
    const Source* const from = app_.source(view->from.text);
    const auto broken = [](const Window& window) { return window.size_us == 0; };
    if (view->windows.empty() || view->aggregates.empty() ||
        std::any_of(view->windows.begin(), view->windows.end(), broken))
      return;
    if (!known(input, "feature", features_of(*view)) || source == nullptr || from == nullptr ||
        from == source)
      return;
    for (const Name& key : view->key)
      if (!source->schema.index_of(key.text).has_value() && source->schema.size() > 0)
        problems_.error(
            "unknown_name", input.place,
            fmt::format("'{}' cannot be read on events of '{}': they have no column '{}'",
                        input.text, source->name.text, key.text),
            fmt::format("it is the key of the view '{}'", view_name));
    return;
  }
  if (contains(names_of(app_.derives), input.text)) return;
  if (source == nullptr || source->schema.size() == 0) return;
  const auto index = source->schema.index_of(input.text);
  if (!index.has_value()) {
    Names names = columns_of(*source);
    append(names, names_of(app_.derives));
    for (const View& view : app_.views) append(names, features_of(view));
    problems_.error("unknown_name", input.place,
                    fmt::format("there is no column or feature '{}'", input.text),
                    schema::suggestion(input.text, names));
    return;
  }
  const schema::Type& type = source->schema.field(*index).type;
  if (!model.detector.empty() && !type.is_numeric() && type.kind != schema::Kind::kBool)
    wrong_column(input, type, "numeric");
}

void NameCheck::check(const Model& model) {
  if (!model.detector.empty() && model.inputs.size() > 1)
    problems_.error("bad_value", model.inputs[1].place,
                    fmt::format("the detector of '{}' reads one input, not {}", model.name.text,
                                model.inputs.size()),
                    "keep one; series are told apart by 'key'");
  bool used = false;
  for (const Decision& decision : app_.decisions) {
    if (decision.model.text != model.name.text) continue;
    used = true;
    const Source* const source = app_.source(decision.on.text);
    for (const Name& input : model.inputs) check_input(model, input, source);
    if (source == nullptr) continue;
    for (const Name& key : model.key) column(*source, key);
  }
  if (!used)
    for (const Name& input : model.inputs) check_input(model, input, nullptr);
}

// Names that a decision's texts may use besides what expressions can.
void NameCheck::check(const Decision& decision) {
  const bool on = known(decision.on, "source", names_of(app_.sources));
  const Source* const source = on ? app_.source(decision.on.text) : nullptr;
  known(decision.model, "model", names_of(app_.models));
  if (source != nullptr)
    for (const NamedExpression& output : decision.output)
      if (source->schema.index_of(output.name.text).has_value() || output.name.text == "score")
        problems_.error(
            "duplicate_name", output.name.place,
            fmt::format("the output '{}' hides what is already called so", output.name.text),
            "give the output another name");
  if (decision.alert.has_value()) check_alert(decision, source);
  for (const Heal& heal : decision.heal)
    if (const auto* command = std::get_if<CommandAction>(&heal.action))
      known(command->run, "allowed command", names_of(app_.healing.commands));
}

void NameCheck::check_alert(const Decision& decision, const Source* source) {
  Names names = outputs_of(decision);
  append(names, {"score", "threshold", "warm", "key"});
  append(names, names_of(app_.derives));
  if (source != nullptr) append(names, columns_of(*source));
  const Expression& severity = decision.alert->severity;
  const bool bare = schema::check_name(severity.text, schema::SettingKind::kIdentifier).ok();
  if (bare && source != nullptr && !contains(names, severity.text)) {
    const bool level = contains({"info", "warning", "critical"}, severity.text);
    problems_.error("unknown_name", severity.place,
                    fmt::format("there is no output '{}'", severity.text),
                    level ? fmt::format("a text in an expression has quotes: \"case when score > "
                                        "threshold then '{}' end\"",
                                        severity.text)
                          : schema::suggestion(severity.text, outputs_of(decision)));
  }
  for (const View& view : app_.views) append(names, features_of(view));
  if (source != nullptr) check_summary(decision.alert->summary, names);
}

void NameCheck::check_summary(const Expression& summary, const Names& names) {
  for (size_t at = summary.text.find('{'); at != std::string::npos;
       at = summary.text.find('{', at + 1)) {
    const size_t end = summary.text.find('}', at);
    if (end == std::string::npos) {
      problems_.error("bad_value", summary.at(at), "this { is not closed",
                      "write {name}, or leave the { out");
      return;
    }
    known({summary.text.substr(at + 1, end - at - 1), summary.at(at + 1)},
          "column, feature or output", names);
  }
}

void NameCheck::check(const Monitor& monitor, std::set<std::string>& monitored) {
  if (known(monitor.model, "model", names_of(app_.models)) &&
      !monitored.insert(monitor.model.text).second)
    problems_.error("duplicate_name", monitor.model.place,
                    fmt::format("there are two monitors of the model '{}'", monitor.model.text),
                    "keep one");
  if (!monitor.retrain.empty()) known(monitor.retrain, "training", names_of(app_.training));
  Names sinks;
  Names of_alerts;
  for (const Decision& decision : app_.decisions)
    for (const Sink& sink : decision.sinks) {
      sinks.push_back(sink.name.text);
      if (sink.send == Send::kAlerts) of_alerts.push_back(sink.name.text);
    }
  for (const Name& sink : monitor.sinks)
    if (known(sink, "sink", sinks) && !contains(of_alerts, sink.text))
      problems_.error("bad_value", sink.place,
                      fmt::format("the sink '{}' is sent decisions, not alerts", sink.text),
                      "add send: alerts to it, or name another");
}

void NameCheck::check(const Training& training) {
  if (!known(training.model, "model", names_of(app_.models))) return;
  const Model& model = *app_.model(training.model.text);
  if (model.detector.empty())
    problems_.error(
        "bad_value", training.model.place,
        fmt::format("the model '{}' has no detector to search settings for", training.model.text),
        "detector_search trains models with 'detector'");
  for (const Gate& gate : training.gate) known(gate.metric, "metric", {"held_out", "recall"});
}

void NameCheck::advice() {
  if (app_.server.address != "127.0.0.1" && app_.server.address != "::1" &&
      app_.server.address != "localhost")
    problems_.add(Gravity::kWarning, "open_address", {},
                  fmt::format("server.address {} is open to the network", app_.server.address),
                  "anyone who reaches it can see and change things; put it behind a proxy");
  for (const Model& model : app_.models) {
    const auto uses = [&](const Decision& one) { return one.model.text == model.name.text; };
    if (std::none_of(app_.decisions.begin(), app_.decisions.end(), uses))
      problems_.add(Gravity::kWarning, "unused", model.name.place,
                    fmt::format("no decision uses the model '{}'", model.name.text));
  }
  for (const Source& source : app_.sources) {
    const auto from_it = [&](const auto& part) {
      if constexpr (requires { part.from; })
        return part.from.text == source.name.text;
      else
        return part.on.text == source.name.text;
    };
    const bool read = std::any_of(app_.views.begin(), app_.views.end(), from_it);
    const bool decided = std::any_of(app_.decisions.begin(), app_.decisions.end(), from_it);
    if (!read && !decided)
      problems_.add(Gravity::kWarning, "unused", source.name.place,
                    fmt::format("nothing uses the source '{}'", source.name.text));
    if (read && std::holds_alternative<KafkaSource>(source.kind))
      problems_.add(Gravity::kNote, "partitions", source.name.place,
                    fmt::format("'{}': events of one key must arrive in one partition of the topic",
                                source.name.text),
                    "state is kept within a partition; produce with the view's key as the record "
                    "key");
  }
  for (const Decision& decision : app_.decisions)
    if (!decision.heal.empty() && !app_.healing.enabled)
      problems_.add(Gravity::kNote, "dry_run", decision.heal[0].place,
                    "healing actions are only recorded, not done",
                    "healing: { enabled: true } lets them act");
}

}  // namespace

void check_names(const AppFile& app, Problems& problems) { NameCheck(app, problems).run(); }

}  // namespace qw::app::internal
