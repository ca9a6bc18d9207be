#include "app/runtime/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "models/package.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

using nlohmann::json;

// The champion's kind and settings: where the search begins, and what must be beaten.
Result<models::Package> champion_package(const models::Registry& registry, const PlanModel& model,
                                         int64_t version) {
  if (version > 0) {
    QW_ASSIGN(const models::VersionInfo info, registry.version(model.registry_name, version));
    return models::read_package(registry.folder() + "/" + info.folder);
  }
  models::Package from_file;
  from_file.kind = model.kind;
  from_file.settings = model.settings;
  return from_file;
}

std::map<std::string, schema::Type> input_types(const Plan& plan, size_t model) {
  std::map<std::string, schema::Type> types;
  for (const PlanDecision& decision : plan.decisions) {
    if (decision.model != model) continue;
    for (const size_t at : decision.model_inputs) {
      const schema::Field& field = plan.sources[decision.source].inputs->field(at);
      types[field.name] = field.type;
    }
  }
  return types;
}

json inputs_of(const Plan& plan, size_t model) {
  json inputs = json::object();
  for (const auto& [name, type] : input_types(plan, model)) inputs[name] = type.to_string();
  return inputs;
}

// In the order of their names: what a detector reads of a decision does not depend on it.
schema::Schema input_schema(const Plan& plan, size_t model) {
  std::vector<schema::Field> fields;
  for (const auto& [name, type] : input_types(plan, model)) fields.push_back({name, type});
  return schema::Schema(std::move(fields));
}

// What a version must be served with to mean the same.
std::string definition_of(const Plan& plan, size_t model, const std::string& kind) {
  json definition = {{"kind", kind}, {"inputs", inputs_of(plan, model)}};
  for (const Name& key : plan.models[model].file->key) definition["key"].push_back(key.text);
  return sha256_hex(definition.dump());
}

std::string labels_from(const train::TrainingData& data) {
  std::vector<std::string> from;
  if (!data.nab.series.empty()) from.push_back("nab");
  for (const char* source : {"incident", "verdict"})
    if (std::any_of(data.own.labels.begin(), data.own.labels.end(),
                    [&](const train::Label& label) { return label.from == source; }))
      from.push_back(std::string(source) + "s");
  return fmt::format("{}", fmt::join(from, ", "));
}

std::pair<int64_t, int64_t> span_of(const train::TrainingData& data) {
  int64_t from = std::numeric_limits<int64_t>::max();
  int64_t to = std::numeric_limits<int64_t>::min();
  const auto take = [&](const std::vector<models::Observation>& rows) {
    for (const models::Observation& row : rows) {
      from = std::min(from, row.event_time_us);
      to = std::max(to, row.event_time_us);
    }
  };
  for (const auto& series : data.nab.series) take(series.rows);
  for (const auto& series : data.own.series) take(series.rows);
  return {from, to};
}

json metrics_of(const train::SearchOutcome& outcome) {
  return {{"held_out", outcome.held_out.score},
          {"held_out_champion", outcome.champion_held_out.score},
          {"searched", outcome.search.score},
          {"searched_champion", outcome.champion_search.score},
          {"recall", outcome.held_out.recall()},
          {"recall_champion", outcome.champion_held_out.recall()},
          {"false_alarms", outcome.held_out.false_alarms},
          {"false_alarms_champion", outcome.champion_held_out.false_alarms}};
}

Result<train::TrainingData> read_data(const store::Store* store, const Plan& plan,
                                      const TrainingWish& wish) {
  train::TrainingData data;
  if (!wish.nab_folder.empty()) {
    QW_ASSIGN(data.nab, train::nab::read_corpus(wish.nab_folder));
  }
  if (store != nullptr && (wish.sources.verdicts || wish.sources.incidents)) {
    QW_ASSIGN(data.own, read_history(*store, plan, wish.model, wish.sources));
  }
  return data;
}

}  // namespace

TrainingWish training_wish(const Plan& plan, size_t model, const std::string& training) {
  TrainingWish wish;
  wish.model = model;
  for (const Training& entry : plan.file.training) {
    if (entry.model.text != plan.models[model].name) continue;
    if (!training.empty() && entry.name.text != training) continue;
    wish.sources.verdicts = entry.label_verdicts;
    wish.sources.incidents = entry.label_incidents;
    if (!entry.label_nab.empty()) wish.nab_folder = plan.file.resolve(entry.label_nab);
    wish.labels_at_least = static_cast<size_t>(entry.labels_at_least);
    wish.held_out = entry.held_out;
    wish.trials = static_cast<size_t>(entry.search_trials);
    wish.seconds_max = entry.search_seconds;
    for (const Gate& gate : entry.gate)
      wish.gate.push_back({gate.metric.text, gate.against_champion, gate.offset, gate.strict});
    wish.then = entry.then == Then::kSwap ? "swap" : "publish";
    break;
  }
  return wish;
}

Result<size_t> trainable_model(const Plan& plan, const std::string& name) {
  std::vector<size_t> found;
  std::string known;
  for (size_t model = 0; model < plan.models.size(); ++model) {
    if (!plan.models[model].engine) continue;
    known += (known.empty() ? "" : ", ") + plan.models[model].name;
    if (name.empty() || plan.models[model].name == name) found.push_back(model);
  }
  if (found.size() == 1) return found.front();
  if (known.empty())
    return Error{ErrorCode::kNotFound, "no model of the application has a detector to train",
                 plan.file.path, "give one a `detector`"};
  if (found.empty())
    return Error{ErrorCode::kNotFound, fmt::format("there is no model '{}' to train", name),
                 plan.file.path, "use one of: " + known};
  return Error{ErrorCode::kBadInput, "several models can be trained", plan.file.path,
               "choose one with --model: " + known};
}

Result<TrainingReport> run_training(const store::Store* store, models::Registry& registry,
                                    const Plan& plan, const TrainingWish& wish, const Clock& clock,
                                    const train::Pace& pace,
                                    const std::function<void(const train::SearchProgress&)>& tell) {
  const PlanModel& model = plan.models[wish.model];
  TrainingReport report;
  QW_ASSIGN(report.champion, serve::serving_version(store, registry, model));
  QW_ASSIGN(const models::Package champion, champion_package(registry, model, report.champion));
  QW_ASSIGN(train::TrainingData data, read_data(store, plan, wish));
  report.labels = train::count_labels(data);
  train::Lineage lineage;
  lineage.run_id = wish.run_id;
  lineage.trigger = wish.trigger;
  lineage.reason = wish.reason;
  lineage.parent = report.champion;
  lineage.labels = report.labels.total;
  lineage.labels_from = labels_from(data);
  std::tie(lineage.data_from_us, lineage.data_to_us) = span_of(data);
  lineage.definition = definition_of(plan, wish.model, champion.kind);
  lineage.seed = wish.seed;
  lineage.then = wish.then;
  QW_ASSIGN(train::Split split,
            train::split_data(std::move(data), wish.held_out, wish.labels_at_least));
  train::SearchPlan search;
  search.kind = champion.kind;
  QW_ASSIGN(search.champion, models::settings_from_json(champion.kind, champion.settings));
  search.trials = wish.trials;
  search.seconds_max = wish.seconds_max;
  search.seed = wish.seed;
  search.gate = wish.gate;
  QW_ASSIGN(report.outcome, train::search_detector(std::move(split), search, clock, pace, tell));
  const train::SearchOutcome& outcome = report.outcome;
  report.labels_held_out = outcome.held_out.labels;
  lineage.trials = outcome.trials;
  models::Package package;
  package.model = model.registry_name;
  package.kind = champion.kind;
  package.created_us = clock.wall_us();
  package.settings = outcome.settings_json;
  package.inputs = input_schema(plan, wish.model);
  package.outputs = schema::Schema({{"score", schema::kDouble}, {"warm", schema::kBool}});
  package.metrics = metrics_of(outcome).dump();
  package.profile = outcome.profile_json;
  QW_ASSIGN(report.version, train::publish(registry, std::move(package), lineage, outcome.refusal));
  return report;
}

}  // namespace qw::app
