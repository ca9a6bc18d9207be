#include "serve/stored_input.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace qw::serve {
namespace {

bool same_key(const std::vector<schema::Field>& a, const std::vector<schema::Field>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [](const schema::Field& one, const schema::Field& other) { return one.name == other.name; });
}

std::optional<size_t> number_named(const std::vector<schema::Field>& fields,
                                   const std::string& name) {
  for (size_t index = 0; index < fields.size(); ++index)
    if (fields[index].name == name && fields[index].type.is_numeric()) return index;
  return std::nullopt;
}

}  // namespace

Result<StoredInput::Place> StoredInput::place_in(uint64_t schema_id) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = places_.find(schema_id); found != places_.end()) return found->second;
  QW_ASSIGN(const auto schema, schemas_.decision(schema_id));
  Place place;
  if (schema != nullptr && wanted_.input && same_key(schema->key, wanted_.key)) {
    auto index = number_named(schema->inputs, wanted_.input->name);
    if (!index) {
      index = number_named(schema->features, wanted_.input->name);
      place.in_features = true;
    }
    place.known = index.has_value();
    place.index = index.value_or(0);
    if (place.known) {
      const auto& fields = place.in_features ? schema->features : schema->inputs;
      // A decimal is seen as its digits: 1.50 of decimal(9,2) is 150.
      place.finer = wanted_.input->type.scale - fields[place.index].type.scale;
    }
  }
  places_[schema_id] = place;
  return place;
}

Result<std::optional<models::Observation>> StoredInput::of(
    const schema::DecisionRecord& record) const {
  models::Observation observation;
  observation.event_time_us = record.as_of.value();
  observation.value = std::numeric_limits<double>::quiet_NaN();
  Place place{wanted_.input && !record.inputs.empty(), false, 0, 0};
  if (record.schema_id != 0) {
    QW_ASSIGN(place, place_in(record.schema_id));
  }
  const auto& values = place.in_features ? record.features : record.inputs;
  if (!place.known || place.index >= values.size()) return std::optional<models::Observation>();
  const schema::Value& value = values[place.index];
  if (std::holds_alternative<std::string>(value)) return std::optional<models::Observation>();
  if (const auto* number = std::get_if<double>(&value)) observation.value = *number;
  if (const auto* number = std::get_if<int64_t>(&value))
    observation.value = static_cast<double>(*number);
  if (place.finer != 0) observation.value *= std::pow(10.0, place.finer);
  return std::optional(observation);
}

}  // namespace qw::serve
