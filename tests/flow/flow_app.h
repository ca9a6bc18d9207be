// A small application over generated metrics, as the reader of an application file would give it.
#pragma once

#include "app/config/app_file.h"
#include "generated_source.h"

namespace qw::test {

inline app::Expression text(std::string expression) {
  return {std::move(expression), {1, 1}, true};
}

// One source "metrics", one view, the shipped ensemble, one decision with an alert.
inline app::AppFile flow_app() {
  app::AppFile file;
  file.path = "flow.yaml";
  file.app = {"flow", {1, 1}};
  file.durability.commit_interval_us = 5'000;
  file.durability.replay_max_us = 300'000;
  app::Source source;
  source.name = {"metrics", {2, 3}};
  source.kind = app::FileSource{};
  source.event_time = {"ts", {3, 3}};
  source.max_future_us = 60'000'000;
  source.schema = *metric_schema();
  file.sources.push_back(source);
  app::View view;
  view.name = {"metric", {5, 3}};
  view.from = {"metrics", {5, 3}};
  view.key = {{"series", {5, 3}}};
  view.windows = {{10'000'000, 0, "10s", {6, 3}}, {60'000'000, 0, "1m", {6, 3}}};
  view.aggregates = {{{"n", {7, 3}}, text("count()")},
                     {{"mean", {7, 3}}, text("mean(value)")},
                     {{"top", {7, 3}}, text("max(value)")}};
  file.views.push_back(view);
  file.derives.push_back({{"excess", {8, 3}}, text("value - metric.mean_1m")});
  app::Model model;
  model.name = {"anomaly", {9, 3}};
  model.detector = {"ensemble", {9, 3}};
  model.key = {{"series", {9, 3}}};
  model.inputs = {{"value", {9, 3}}};
  file.models.push_back(model);
  app::Decision decision;
  decision.name = {"unusual", {10, 3}};
  decision.on = {"metrics", {10, 3}};
  decision.model = {"anomaly", {10, 3}};
  decision.output = {{{"severity", {11, 3}},
                      text("case when score >= threshold and excess > 100 then 'critical' end")}};
  app::Alert alert;
  alert.severity = text("severity");
  alert.for_us = 2'000'000;
  alert.cooldown_us = 1'000'000;
  alert.resolve_after_us = 3'000'000;
  decision.alert = alert;
  file.decisions.push_back(decision);
  return file;
}

// The same without a detector: the score is the value itself, and above 1000 it is critical.
inline app::AppFile value_app() {
  app::AppFile file = flow_app();
  file.models[0].detector = {};
  file.models[0].inputs = {};
  file.models[0].rules = {{{"score", {9, 3}}, text("value")}};
  file.decisions[0].output = {
      {{"severity", {11, 3}}, text("case when score > 1000 then 'critical' end")}};
  return file;
}

}  // namespace qw::test
