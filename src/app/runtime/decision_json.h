// Decisions as JSON: what sinks send and the page shows.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "app/runtime/plan.h"
#include "schema/records.h"
#include "schema/stored_schema.h"

namespace qw::app {

// The same after every replay: hash(app, decision, source, partition, seq).
std::string action_id(const Plan& plan, size_t decision, uint32_t source_partition, Seq seq);

// `names`: of the record; they fit it.
nlohmann::json decision_json(const std::string& app, const schema::DecisionRecord& record,
                             const schema::DecisionSchema& names, double threshold);

// Of the features that are not simply present: {"card.n_1h": "hot_key"}.
nlohmann::json statuses_json(const schema::DecisionRecord& record,
                             const schema::DecisionSchema& names);

// How the control API and notifications say it: "ok", "empty", "HOT_KEY", ...
std::string_view shown_status(schema::FeatureStatus status, bool null);

// One cell as JSON: numbers as numbers (decimals exact as text), timestamps as microseconds.
nlohmann::json value_json(const schema::Value& value, const schema::Type& type);

}  // namespace qw::app
