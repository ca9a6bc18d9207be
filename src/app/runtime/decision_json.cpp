#include "app/runtime/decision_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace qw::app {
namespace {

using nlohmann::json;

json number_json(double number) { return std::isfinite(number) ? json(number) : json(nullptr); }

// The features of a record by name, as the source's inputs list them.
json features_json(const PlanSource& source, const schema::DecisionRecord& record) {
  json features = json::object();
  for (size_t index = 0; index < record.features.size(); ++index) {
    const schema::Field& field = source.inputs->field(source.features_begin + index);
    features[field.name] = value_json(record.features[index], field.type);
  }
  return features;
}

json members_json(const PlanModel& model, const schema::DecisionRecord& record) {
  json members = json::array();
  if (!model.engine) return members;
  const auto names = model.engine->members();
  for (size_t index = 0; index < names.size() && index < record.contributions.size(); ++index)
    members.push_back(
        {{"name", names[index]}, {"contribution", number_json(record.contributions[index])}});
  return members;
}

void add_record(json& body, const Plan& plan, size_t decision, const schema::DecisionRecord& record,
                double threshold) {
  const PlanDecision& planned = plan.decisions[decision];
  const PlanSource& source = plan.sources[planned.source];
  body["event_time_us"] = record.as_of.value();
  body["event_seq"] = record.event_seq.value();
  body["served_by"] = record.served_by;
  body["score"] = number_json(record.score);
  body["threshold"] = number_json(threshold);
  body["warm"] = record.warm;
  json inputs = json::object();
  for (size_t index = 0; index < record.inputs.size(); ++index) {
    const schema::Field& field = source.inputs->field(planned.model_inputs[index]);
    inputs[field.name] = value_json(record.inputs[index], field.type);
  }
  body["inputs"] = std::move(inputs);
  body["features"] = features_json(source, record);
  body["members"] = members_json(plan.models[planned.model], record);
  json outputs = json::object();
  for (size_t index = 0; index < record.outputs.size(); ++index)
    outputs[planned.outputs[index].name] =
        value_json(record.outputs[index], planned.outputs[index].expression.type());
  body["outputs"] = std::move(outputs);
}

}  // namespace

std::string action_id(const Plan& plan, size_t decision, uint32_t source_partition, Seq seq) {
  const PlanDecision& planned = plan.decisions[decision];
  return fmt::format(
      "{:016x}",
      checksum64(fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}", plan.file.app.text, planned.name,
                             plan.sources[planned.source].name, source_partition, seq.value())));
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

json decision_json(const Plan& plan, size_t decision, const schema::DecisionRecord& record,
                   double threshold) {
  json body = {{"app", plan.file.app.text},
               {"decision", record.decision},
               {"key", record.key},
               {"decided_at_us", record.decided_at.value()}};
  add_record(body, plan, decision, record, threshold);
  return body;
}

}  // namespace qw::app
