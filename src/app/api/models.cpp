#include "app/api/models.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/runtime/training_run.h"
#include "base/log.h"
#include "models/package.h"

namespace qw::app {
namespace {

Json object_of(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json::object();
}

// Numbers, texts and truths; what is nested is left out.
Json flat(const std::string& text) {
  const Json all = object_of(text);  // outlives the loop over its items
  Json flat = Json::object();
  for (const auto& [name, value] : all.items())
    if (value.is_number() || value.is_string() || value.is_boolean()) flat[name] = value;
  return flat;
}

// Each metric beside the champion's on the same data, where the trainer wrote it.
Json metrics_of(const std::string& text) {
  const Json all = object_of(text);
  Json list = Json::array();
  for (const auto& [name, value] : all.items()) {
    if (name.ends_with("_champion") || !value.is_number()) continue;
    const auto champion = all.find(name + "_champion");
    const bool lower = name.find("false") != std::string::npos || name.ends_with("_us");
    list.push_back(
        {{"name", name},
         {"value", number(value.get<double>())},
         {"champion", champion != all.end() && champion->is_number() ? *champion : Json(nullptr)},
         {"better", lower ? "lower" : "higher"}});
  }
  return list;
}

Json lineage_of(const models::VersionInfo& info) {
  const Json lineage = object_of(info.lineage);
  const auto field = [&](const char* name) { return lineage.value(name, Json(nullptr)); };
  return {{"run_id", field("run_id")},
          {"parent", field("parent")},
          {"labels", field("labels")},
          {"data_from_us", field("data_from_us")},
          {"data_to_us", field("data_to_us")}};
}

Json time_or_null(int64_t at_us) { return at_us > 0 ? Json(at_us) : Json(nullptr); }

Json run_json(const TrainingStatus& run) {
  return {{"run_id", run.run_id},
          {"state", run.state},
          {"trigger", run.trigger},
          {"reason", run.reason},
          {"trials_done", run.trials_done},
          {"trials_total", run.trials_total},
          {"best", run.best ? number(*run.best) : Json(nullptr)},
          {"version", run.version ? Json(std::to_string(*run.version)) : Json(nullptr)},
          {"started_us", run.started_us},
          {"ended_us", time_or_null(run.ended_us)},
          {"message", text_or_null(run.message)}};
}

// What the trainer or the rollout refused, as the API says it.
Refusal refusal_of(const Error& error, const char* conflict) {
  if (error.code == ErrorCode::kNotFound)
    return {404, "unknown_model", error.message, error.how_to_mend};
  if (error.code == ErrorCode::kConflict || error.code == ErrorCode::kBadInput)
    return {409, conflict, error.message, error.how_to_mend};
  return {500, "internal", error.to_string(), "see the program's log"};
}

}  // namespace

void ModelAnswers::open(Runtime& runtime) {
  auto opened = models::Registry::open(runtime.registry().folder());
  if (opened.ok())
    registry_ = std::move(opened).value();
  else
    log::warning("api", "the registry is not shown: {}", opened.error().to_string());
}

Json ModelAnswers::answer(Runtime& runtime) const {
  Json list = Json::array();
  for (size_t model = 0; model < plan_.models.size(); ++model) list.push_back(one(runtime, model));
  return {{"models", std::move(list)}};
}

Json ModelAnswers::one(Runtime& runtime, size_t index) const {
  const PlanModel& model = plan_.models[index];
  Json decisions = Json::array();
  int64_t champion = -1, challenger = -1;
  size_t total = 0, warm = 0;
  const auto all = board_.all(0);
  for (size_t decision = 0; decision < plan_.decisions.size(); ++decision) {
    if (plan_.decisions[decision].model != index) continue;
    decisions.push_back(plan_.decisions[decision].name);
    runtime.between_events([&](Pipeline& pipeline, store::PendingCommit&) {
      if (const auto* version = pipeline.slot(decision).champion()) champion = version->version();
      if (const auto* version = pipeline.slot(decision).challenger())
        challenger = version->version();
    });
    for (const BoardSeries& series : all)
      if (series.decision == decision) {
        ++total;
        warm += series.warm >= 1;
      }
  }
  const bool served = champion >= 0;
  Json list = !model.registry_name.empty() ? versions(model, champion, challenger) : Json::array();
  const auto warming = runtime.rollout().progress();
  for (Json& version : list) {
    add_warmth(version, warm, total);
    const bool warms = warming && warming->model == index &&
                       version["version"] == std::to_string(warming->version);
    if (warms) version["warm"] = warming->share;
  }
  return {{"name", model.name},
          {"kind", model.engine ? "detector " + model.kind : model.kind},
          {"champion", served ? Json(std::to_string(champion)) : Json(nullptr)},
          {"decisions", std::move(decisions)},
          {"drift", drift(runtime, model.name)},
          {"labels", labels(index)},
          {"versions", std::move(list)},
          {"training", training(runtime, model.name)}};
}

Json ModelAnswers::training(Runtime& runtime, const std::string& model) const {
  Json list = Json::array();
  for (const TrainingStatus& run : runtime.trainer().runs(model)) list.push_back(run_json(run));
  return list;
}

Outcome ModelAnswers::retrain(Runtime& runtime, const net::HttpRequest& request) const {
  const std::string name = request.params.at("name");
  Body body = Body::parse(request);
  const std::string reason = body.text("reason", 200).value_or("");
  if (body.fault) return *body.fault;
  const auto labels = runtime.trainer().labels(name);
  if (!labels.ok()) return refusal_of(labels.error(), "too_few_labels");
  if (labels->counts.total < labels->needed)
    return Refusal{
        409, "too_few_labels",
        fmt::format("there are {} labels; {} are needed", labels->counts.total, labels->needed),
        "judge alerts on the page, or let incidents run: each is a label"};
  const auto run = runtime.trainer().request(name, "person", reason);
  if (!run.ok()) return refusal_of(run.error(), "training_running");
  return run_json(*run);
}

Outcome ModelAnswers::roll_back(Runtime& runtime, const net::HttpRequest& request) const {
  Body body = Body::parse(request);
  const std::string reason = body.text("reason", 200).value_or("");
  if (body.fault) return *body.fault;
  const auto asked = runtime.roll_back(request.params.at("name"), reason);
  if (!asked.ok()) return refusal_of(asked.error(), "no_rollback");
  return Json{{"model", asked->model},
              {"from", std::to_string(asked->from)},
              {"to", std::to_string(asked->to)}};
}

void ModelAnswers::heed(const schema::JournalRecord& record) {
  touched_ |= store::is_a<store::ModelBody>(record) || store::is_a<store::TrainingBody>(record) ||
              store::is_a<store::DriftBody>(record) || store::is_a<store::VerdictBody>(record) ||
              store::is_a<store::IncidentBody>(record);
}

std::vector<Json> ModelAnswers::changed(Runtime& runtime) {
  told_.resize(plan_.models.size());
  std::vector<Json> changed;
  for (size_t model = 0; model < plan_.models.size(); ++model) {
    const auto runs = runtime.trainer().runs(plan_.models[model].name);
    std::string now;
    if (!runs.empty())
      now = fmt::format("{} {} {}", runs[0].run_id, runs[0].state, runs[0].trials_done);
    if (const auto warming = runtime.rollout().progress(); warming && warming->model == model)
      now += fmt::format(" {} {:.2f}", warming->version, warming->share);
    if (!touched_ && now == told_[model]) continue;
    told_[model] = std::move(now);
    changed.push_back(one(runtime, model));
  }
  touched_ = false;
  return changed;
}

// The champion's warmth is that of its series; others are not fed with series of their own here,
// and the warmth of one that is warming up is the share of the decisions it has learned.
void ModelAnswers::add_warmth(Json& version, size_t warm, size_t total) const {
  const bool serves = version["state"] == "champion";
  const double share = total == 0 ? 0 : static_cast<double>(warm) / static_cast<double>(total);
  version["warm"] = serves ? share : 0.0;
  version["series_warm"] = serves ? warm : 0;
  version["series_total"] = total;
}

// Version 0: as the application file says.
Json ModelAnswers::built_in(const PlanModel& model, int64_t champion) const {
  return {{"version", "0"},
          {"state", champion == 0 ? "champion" : "previous"},
          {"warm", 0.0},
          {"series_warm", 0},
          {"series_total", 0},
          {"published_us", started_us_},
          {"swapped_us", nullptr},
          {"reason", nullptr},
          {"metrics", Json::array()},
          {"settings", flat(model.settings)},
          {"lineage", nullptr}};
}

Json ModelAnswers::version(const models::VersionInfo& info) const {
  return {{"version", std::to_string(info.version)},
          {"state", models::name_of(info.state)},
          {"warm", 0.0},
          {"series_warm", 0},
          {"series_total", 0},
          {"published_us", info.published_us},
          {"swapped_us", time_or_null(info.swapped_us)},
          {"reason", text_or_null(info.reason)},
          {"metrics", metrics_of(info.metrics)},
          {"settings", settings_of(info)},
          {"lineage", lineage_of(info)}};
}

Json ModelAnswers::settings_of(const models::VersionInfo& info) const {
  if (const auto known = settings_.find(info.folder); known != settings_.end())
    return known->second;
  const auto package = models::read_package(registry_->folder() + "/" + info.folder);
  if (!package.ok()) return Json::object();
  return settings_[info.folder] = flat(package->settings);
}

Json ModelAnswers::versions(const PlanModel& model, int64_t champion, int64_t challenger) const {
  Json list = Json::array();
  if (registry_) {
    const auto known = registry_->versions(model.registry_name);
    if (known.ok())
      for (const models::VersionInfo& info : *known) {
        Json shown = version(info);
        // What serves is what the pipeline runs, whatever the registry says for a moment.
        if (info.version == champion) shown["state"] = "champion";
        if (info.version == challenger) shown["state"] = "warming";
        list.push_back(std::move(shown));
      }
  }
  if (model.engine) list.push_back(built_in(model, champion));
  return list;
}

Json ModelAnswers::drift(Runtime& runtime, const std::string& model) const {
  for (const DriftStatus& status : runtime.monitors().status()) {
    if (status.model != model || !status.look) continue;
    return {{"test", "ks"},
            {"value", number(status.look->distance)},
            {"threshold", number(status.look->threshold)},
            {"state", status.state == monitor::DriftState::kDrifting ? "drifting" : "steady"},
            {"checked_us", time_or_null(status.checked_us)}};
  }
  return nullptr;
}

// What a training would learn from; null where there is nothing to train.
Json ModelAnswers::labels(size_t index) const {
  if (!plan_.models[index].engine) return nullptr;
  const TrainingWish wish = training_wish(plan_, index);
  const auto of_model = [&](const Json& alert) {
    const std::string name = text_in(alert, "decision");
    return std::any_of(plan_.decisions.begin(), plan_.decisions.end(),
                       [&](const auto& one) { return one.model == index && one.name == name; });
  };
  size_t real = 0, false_alarm = 0;
  if (wish.sources.verdicts)
    for (const ShownAlert* alert : story_.alerts()) {
      const Json& verdict = alert->body.at("verdict");
      if (!verdict.is_object() || !of_model(alert->body)) continue;
      (text_in(verdict, "verdict") == "real" ? real : false_alarm) += 1;
    }
  if (wish.sources.incidents)
    for (const ShownIncident& incident : story_.incidents()) real += incident.state != "failed";
  return {{"total", real + false_alarm},
          {"needed", wish.nab_folder.empty() ? wish.labels_at_least : 0},
          {"real", real},
          {"false_alarm", false_alarm}};
}

}  // namespace qw::app
