#include "app/api/moment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>

#include "app/api/usual.h"
#include "app/runtime/decision_json.h"
#include "schema/settings.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

std::optional<schema::DecisionRecord> record_of(const store::Store& store, PartitionId stream,
                                                uint64_t seq) {
  std::optional<schema::DecisionRecord> record;
  const auto read = store::History(store).read(store::Log::kDecisions, stream, {Seq{seq}},
                                               [&](Seq, std::string_view bytes) {
                                                 auto decoded = schema::decode_decision(bytes);
                                                 if (decoded.ok())
                                                   record = std::move(decoded).value();
                                                 return true;
                                               });
  if (!read.ok()) return std::nullopt;
  return record;
}

// Retention removed it; a decision that is only not durable yet is not.
bool is_removed(const store::Store& store, PartitionId stream, uint64_t seq) {
  const auto last = store.last_seq(store::Log::kDecisions, stream);
  return last.ok() && Seq{seq} <= *last;
}

Json feature_json(const FeatureName& feature, double value, std::string_view status) {
  return {{"name", feature.name},
          {"value", number(value)},
          {"status", status},
          {"aggregate", feature.aggregate},
          {"window_us", feature.window_us ? Json(*feature.window_us) : Json(nullptr)}};
}

}  // namespace

std::string member_title(std::string_view member) {
  static constexpr std::pair<std::string_view, std::string_view> kTitles[] = {
      {"knn", "unlike any recent shape"},
      {"seasonal", "unusual for this hour"},
      {"relative_entropy", "values fall in other places than usual"},
      {"entropy", "values fall in other places than usual"},
      {"activity", "moves more or less than usual"},
      {"half_space_trees", "rare place of value and change"},
      {"hst", "rare place of value and change"}};
  for (const auto& [name, title] : kTitles)
    if (member.starts_with(name)) return std::string(title);
  return {};
}

Json members_json(const std::vector<std::string>& names, const std::vector<double>& contributions) {
  Json members = Json::array();
  for (size_t index = 0; index < std::min(names.size(), contributions.size()); ++index)
    members.push_back({{"name", names[index]},
                       {"title", text_or_null(member_title(names[index]))},
                       {"contribution", number(contributions[index])}});
  return members;
}

Outcome MomentAnswers::answer(const net::HttpRequest& request, const Pipeline& pipeline,
                              const store::Store& store) const {
  Query query(request);
  const auto view = query.text("view");
  const auto key = query.text("key");
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max() / 4;
  const auto asked = query.integer("as_of_us", -kFar, kFar);
  if (query.fault()) return *query.fault();
  if (!view || !key)
    return Refusal{400, "missing_field", "view and key are needed",
                   "take both from GET /v1/series"};
  const auto decision = names_.decision_of_view(*view);
  if (!decision)
    return Refusal{
        404, "unknown_view", fmt::format("there is no view '{}'", *view),
        "take view and key from GET /v1/series; " + schema::suggestion(*view, names_.views())};
  const std::string id = names_.plan().decisions[*decision].name + "/" + *key;
  const auto series = board_.find(id, 1);
  if (!series || series->points.empty())
    return Refusal{404, "unknown_key", fmt::format("nothing is known of '{}' in {}", *key, *view),
                   "take view and key from GET /v1/series"};
  const int64_t newest_us = series->points.back().t_us;
  const int64_t as_of_us = asked.value_or(std::max(newest_us, clock_.wall_us()));
  const auto point = board_.newest(id, as_of_us);
  if (!point)
    return Refusal{410, "history_gone", "that moment is older than what is kept",
                   "choose a later moment"};
  const auto record = record_of(store, series->stream, point->seq);
  if (!record && is_removed(store, series->stream, point->seq))
    return Refusal{410, "history_gone", "the decision at that moment is no longer kept",
                   "choose a later moment, or raise retention.decisions"};
  std::optional<features::FeatureAnswer> read;
  if (const auto bytes = names_.view_key(*decision, *key)) {
    auto found =
        pipeline.features().read(names_.decision(*decision).view, *bytes, EventTime{as_of_us});
    if (found.ok()) read = std::move(found).value();
  }
  Json list = features(*decision, read, record, store);
  const auto usual = usual_of(board_, names_, store, id, point->t_us, story_.alert_times(id));
  for (Json& feature : list) add_usual(feature, usual, text_in(feature, "name"));
  return Json{{"view", *view},
              {"key", *key},
              {"as_of_us", as_of_us},
              {"event_us", point->t_us},
              {"value", number(point->value)},
              {"features", std::move(list)},
              {"score", score(*decision, *series, record, store)}};
}

// The view as of the moment where it still holds all rows of the window; else, and for what is not
// of this view, what the decision on the newest event saw.
Json MomentAnswers::features(size_t decision, const std::optional<features::FeatureAnswer>& read,
                             const std::optional<schema::DecisionRecord>& record,
                             const store::Store& store) const {
  Json list = Json::array();
  StoredFeatures stored(names_, store);
  for (const FeatureName& feature : names_.decision(decision).features) {
    const double decided = record ? stored.of(decision, *record, {&feature}).front()
                                  : std::numeric_limits<double>::quiet_NaN();
    std::optional<size_t> at;
    for (size_t index = 0; read && index < read->view->features().size(); ++index)
      if (read->view->features()[index].name == feature.name) at = index;
    const bool whole = at && (read->statuses[*at] != schema::FeatureStatus::kIncomplete ||
                              !std::isfinite(decided));
    const double value = whole ? number_of(read->values[*at], feature.type) : decided;
    const auto status = whole    ? read->statuses[*at]
                        : record ? stored.status(decision, *record, feature)
                                 : schema::FeatureStatus::kPresent;
    list.push_back(feature_json(feature, value, shown_status(status, !std::isfinite(value))));
  }
  return list;
}

Json MomentAnswers::score(size_t decision, const BoardSeries& series,
                          const std::optional<schema::DecisionRecord>& record,
                          const store::Store& store) const {
  if (!record || !record->warm) return nullptr;
  const PlanDecision& planned = names_.plan().decisions[decision];
  const PlanModel& model = names_.plan().models[planned.model];
  const auto named = DecisionNames(store).of(*record, &names_.schema(decision));
  return {{"value", number(record->score)},
          {"threshold", number(series.threshold)},
          {"model", model.name},
          {"version", record->version ? std::to_string(*record->version) : ""},
          {"members", members_json(named.ok() ? named->schema->members : std::vector<std::string>(),
                                   record->contributions)}};
}

}  // namespace qw::app
