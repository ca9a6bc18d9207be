#include "app/runtime/decision_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace qw::app {
namespace {

using nlohmann::json;

json number_json(double number) { return std::isfinite(number) ? json(number) : json(nullptr); }

json values_json(const std::vector<schema::Value>& values,
                 const std::vector<schema::Field>& names) {
  json named = json::object();
  for (size_t index = 0; index < std::min(values.size(), names.size()); ++index)
    named[names[index].name] = value_json(values[index], names[index].type);
  return named;
}

json members_json(const std::vector<double>& contributions, const std::vector<std::string>& names) {
  json members = json::array();
  for (size_t index = 0; index < std::min(names.size(), contributions.size()); ++index)
    members.push_back(
        {{"name", names[index]}, {"contribution", number_json(contributions[index])}});
  return members;
}

}  // namespace

std::string_view shown_status(schema::FeatureStatus status, bool null) {
  switch (status) {
    case schema::FeatureStatus::kPresent: return null ? "empty" : "ok";
    case schema::FeatureStatus::kOverflow: return "OVERFLOW";
    case schema::FeatureStatus::kOutsideMaxAge: return "OUTSIDE_MAX_AGE";
    case schema::FeatureStatus::kHotKey: return "HOT_KEY";
    case schema::FeatureStatus::kIncomplete: return "INCOMPLETE";
  }
  return "ok";
}

std::string action_id(const Plan& plan, size_t decision, uint32_t source_partition, Seq seq) {
  const PlanDecision& planned = plan.decisions[decision];
  const PlanSource& source = plan.sources[planned.source];
  // The members of a group agree on a record's place in its topic, and on nothing else: whichever
  // of them decides on it, the id is the same.
  const auto* kafka = std::get_if<KafkaSource>(&source.file->kind);
  const std::string origin =
      kafka != nullptr
          ? fmt::format("kafka\x1f{}\x1f{}", kafka->group.reveal(), kafka->topic.reveal())
          : fmt::format("{}\x1f{}", plan.file.app.text, source.name);
  return fmt::format("{:016x}", checksum64(fmt::format("{}\x1f{}\x1f{}\x1f{}", origin, planned.name,
                                                       source_partition, seq.value())));
}

json value_json(const schema::Value& value, const schema::Type& type) {
  if (schema::is_null(value)) return nullptr;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return number_json(*number);
  const int64_t number = std::get<int64_t>(value);
  if (type.kind == schema::Kind::kBool) return number != 0;
  if (type.kind != schema::Kind::kDecimal || type.scale == 0) return number;
  const std::string digits = fmt::format("{:0{}}", number < 0 ? -number : number, type.scale + 1);
  return fmt::format("{}{}.{}", number < 0 ? "-" : "", digits.substr(0, digits.size() - type.scale),
                     digits.substr(digits.size() - type.scale));
}

json statuses_json(const schema::DecisionRecord& record, const schema::DecisionSchema& names) {
  json statuses = json::object();
  for (size_t index = 0; index < std::min(record.statuses.size(), names.features.size()); ++index)
    if (record.statuses[index] != schema::FeatureStatus::kPresent)
      statuses[names.features[index].name] = schema::name_of(record.statuses[index]);
  return statuses;
}

json decision_json(const std::string& app, const schema::DecisionRecord& record,
                   const schema::DecisionSchema& names, double threshold) {
  json body = {{"app", app},
               {"decision", record.decision},
               {"key", record.key},
               {"decided_at_us", record.decided_at.value()},
               {"event_time_us", record.as_of.value()},
               {"event_seq", record.event_seq.value()},
               {"served_by", record.served_by()},
               {"score", number_json(record.score)},
               {"threshold", number_json(threshold)},
               {"warm", record.warm},
               {"inputs", values_json(record.inputs, names.inputs)},
               {"features", values_json(record.features, names.features)},
               {"members", members_json(record.contributions, names.members)},
               {"outputs", values_json(record.outputs, names.outputs)}};
  if (!record.statuses.empty()) body["feature_status"] = statuses_json(record, names);
  return body;
}

}  // namespace qw::app
