// What the API calls things: a decision's series, their features, and the view that holds them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/runtime/plan.h"
#include "app/runtime/record_names.h"

namespace qw::app {

// The unit of a metric by the end of its name; empty when it says none.
std::string unit_of(std::string_view metric);

// How one series is shown. A value.
struct SeriesName {
  std::string metric;
  std::string title;   // empty: none
  std::string entity;  // "all" when the metric is of the whole
  std::string unit;
};

// A feature that an answer may hold: numeric, and part of every decision record of its source.
struct FeatureName {
  std::string name;    // "mean_1m" of the decision's own view, else "card.mean_1m" or "excess"
  std::string stored;  // in decisions: "card.mean_1m", also for the own view; "excess"
  schema::Type type;
  std::string aggregate;  // "mean", "p95", "derived"
  std::optional<int64_t> window_us;
};

// One decision as the API shows it. A value.
struct ShownDecision {
  std::string view;  // whose key is the decision's key; the decision's own name when there is none
  std::shared_ptr<const features::View> keyed_by;  // that view, or null
  std::vector<FeatureName> features;
};

// Made from a plan once. Immutable; any thread.
class Names {
 public:
  explicit Names(std::shared_ptr<const Plan> plan);

  const Plan& plan() const { return *plan_; }
  SeriesName series(size_t decision, const std::string& key) const;
  const ShownDecision& decision(size_t index) const { return shown_[index]; }
  // What decisions made now are called by; for records of before names were stored.
  const schema::DecisionSchema& schema(size_t decision) const { return schemas_[decision]; }
  // The first decision that is shown under this view's (or its own) name.
  std::optional<size_t> decision_of_view(std::string_view view) const;
  std::optional<size_t> decision_named(std::string_view name) const;
  std::vector<std::string> views() const;
  // A series' readable key as the bytes that its view keeps it under; nothing when they do not fit.
  std::optional<std::string> view_key(size_t decision, const std::string& key) const;

 private:
  ShownDecision show(const PlanDecision& decision) const;

  const std::shared_ptr<const Plan> plan_;
  std::vector<ShownDecision> shown_;
  std::vector<schema::DecisionSchema> schemas_;
};

// Reads numbers of stored decisions by name, whatever their records were written under; NaN for
// what a record does not hold. One thread at a time; the names and the store outlive it.
class StoredFeatures {
 public:
  StoredFeatures(const Names& names, const store::Store& store) : names_(names), stored_(store) {}
  // One for each of `wanted`.
  std::vector<double> of(size_t decision, const schema::DecisionRecord& record,
                         const std::vector<const FeatureName*>& wanted);
  // What the decision said of the feature; kPresent when it knew no such feature.
  schema::FeatureStatus status(size_t decision, const schema::DecisionRecord& record,
                               const FeatureName& wanted);
  // What the model was given; NaN when it is given another thing now.
  double input(size_t decision, const schema::DecisionRecord& record);

 private:
  const Names& names_;
  DecisionNames stored_;
};

// A stored value as a number; NaN when it is null or a text.
double number_of(const schema::Value& value, const schema::Type& type);

}  // namespace qw::app
