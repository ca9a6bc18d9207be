#include "app/api/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "features/cell_text.h"
#include "features/definition.h"

namespace qw::app {
namespace {

// Of the host source's metrics.
std::string title_of(std::string_view metric) {
  static constexpr std::pair<std::string_view, std::string_view> kTitles[] = {
      {"cpu.total_percent", "CPU busy"},
      {"cpu.iowait_percent", "CPU waits for disks"},
      {"memory.used_percent", "Memory used"},
      {"memory.available_bytes", "Memory available"},
      {"swap.used_percent", "Swap used"},
      {"disk.read_bytes_per_s", "Disk reads"},
      {"disk.write_bytes_per_s", "Disk writes"},
      {"disk.util_percent", "Disk busy"},
      {"net.rx_bytes_per_s", "Network in"},
      {"net.tx_bytes_per_s", "Network out"},
      {"process.cpu_percent", "CPU of a program"},
      {"process.rss_bytes", "Memory of a program"},
      {"process.others_cpu_percent", "CPU of all other programs"}};
  for (const auto& [name, title] : kTitles)
    if (name == metric) return std::string(title);
  return {};
}

// Takes apart what key_text put together: '%2F' and '%25' stand for '/' and '%' inside a part.
std::vector<std::string> parts_of(const std::string& key, size_t columns) {
  if (columns == 1) return {key};
  std::vector<std::string> parts(1);
  for (size_t at = 0; at < key.size(); ++at) {
    if (key[at] == '/') {
      parts.emplace_back();
    } else if (key.compare(at, 3, "%2F") == 0 || key.compare(at, 3, "%25") == 0) {
      parts.back().push_back(key[at + 2] == 'F' ? '/' : '%');
      at += 2;
    } else {
      parts.back().push_back(key[at]);
    }
  }
  return parts;
}

}  // namespace

std::string unit_of(std::string_view metric) {
  if (metric.ends_with("_percent")) return "%";
  if (metric.ends_with("_bytes_per_s")) return "bytes/s";
  if (metric.ends_with("_bytes")) return "bytes";
  if (metric.ends_with("_per_s")) return "1/s";
  if (metric.ends_with("_celsius")) return "celsius";
  if (metric.ends_with("_ms")) return "ms";
  if (metric.ends_with("_us")) return "us";
  if (metric.ends_with("_seconds")) return "s";
  return {};
}

double number_of(const schema::Value& value, const schema::Type& type) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(*number) / std::pow(10.0, type.scale);
}

Names::Names(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {
  for (size_t index = 0; index < plan_->decisions.size(); ++index) {
    const PlanDecision& decision = plan_->decisions[index];
    shown_.push_back(show(decision));
    schemas_.push_back(
        serve::decision_schema(decision, plan_->models[decision.model].engine.get()));
  }
}

namespace {

// The number called `name` among `values`; NaN when there is none.
double number_named(const std::vector<schema::Field>& fields,
                    const std::vector<schema::Value>& values, std::string_view name) {
  for (size_t index = 0; index < std::min(fields.size(), values.size()); ++index)
    if (fields[index].name == name) return number_of(values[index], fields[index].type);
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<double> StoredFeatures::of(size_t decision, const schema::DecisionRecord& record,
                                       const std::vector<const FeatureName*>& wanted) {
  std::vector<double> numbers(wanted.size(), std::numeric_limits<double>::quiet_NaN());
  const auto named = stored_.of(record, &names_.schema(decision));
  if (!named.ok()) return numbers;
  for (size_t index = 0; index < wanted.size(); ++index)
    numbers[index] = number_named(named->schema->features, record.features, wanted[index]->stored);
  return numbers;
}

schema::FeatureStatus StoredFeatures::status(size_t decision, const schema::DecisionRecord& record,
                                             const FeatureName& wanted) {
  const auto named = stored_.of(record, &names_.schema(decision));
  if (!named.ok()) return schema::FeatureStatus::kPresent;
  const auto& features = named->schema->features;
  for (size_t index = 0; index < std::min(features.size(), record.statuses.size()); ++index)
    if (features[index].name == wanted.stored) return record.statuses[index];
  return schema::FeatureStatus::kPresent;
}

double StoredFeatures::input(size_t decision, const schema::DecisionRecord& record) {
  const auto& inputs = names_.schema(decision).inputs;
  const auto named = stored_.of(record, &names_.schema(decision));
  if (!named.ok() || inputs.empty()) return std::numeric_limits<double>::quiet_NaN();
  return number_named(named->schema->inputs, record.inputs, inputs.front().name);
}

ShownDecision Names::show(const PlanDecision& decision) const {
  const PlanSource& source = plan_->sources[decision.source];
  ShownDecision shown;
  shown.view = decision.name;
  for (const features::StoredView& view : source.views)
    if (!shown.keyed_by && view.view->key_columns() == decision.key_columns) {
      shown.keyed_by = view.view;
      shown.view = view.view->name();
    }
  const auto add = [&](std::string name, std::string stored, const schema::Type& type,
                       std::string aggregate, std::optional<int64_t> window_us) {
    if (type.is_numeric())
      shown.features.push_back(
          {std::move(name), std::move(stored), type, std::move(aggregate), window_us});
  };
  for (const features::StoredView& planned : source.views) {
    const features::View& view = *planned.view;
    for (const features::Feature& feature : view.features())
      add(planned.view == shown.keyed_by ? feature.name : view.name() + "." + feature.name,
          view.name() + "." + feature.name, feature.type,
          features::label_of(view.aggregates()[feature.aggregate]),
          view.windows()[feature.window].length_us);
  }
  for (const features::Derived& derived : source.derived)
    add(derived.name, derived.name, derived.expression.type(), "derived", std::nullopt);
  return shown;
}

SeriesName Names::series(size_t index, const std::string& key) const {
  const PlanDecision& decision = plan_->decisions[index];
  const PlanSource& source = plan_->sources[decision.source];
  SeriesName name;
  const size_t slash = key.find('/');
  const bool host = std::holds_alternative<HostSource>(source.file->kind);
  if (host || slash != std::string::npos || decision.model_inputs.empty()) {
    name.metric = key.substr(0, slash);
    if (slash != std::string::npos) name.entity = key.substr(slash + 1);
  } else {
    // One measure of many things: the measure is what the model reads.
    name.metric = source.inputs->field(decision.model_inputs.front()).name;
    name.entity = key;
  }
  if (name.entity.empty()) name.entity = "all";
  if (host) name.title = title_of(name.metric);
  name.unit = unit_of(name.metric);
  return name;
}

std::optional<size_t> Names::decision_of_view(std::string_view view) const {
  for (size_t index = 0; index < shown_.size(); ++index)
    if (shown_[index].view == view) return index;
  return decision_named(view);
}

std::optional<size_t> Names::decision_named(std::string_view name) const {
  for (size_t index = 0; index < shown_.size(); ++index)
    if (plan_->decisions[index].name == name) return index;
  return std::nullopt;
}

std::vector<std::string> Names::views() const {
  std::vector<std::string> views;
  for (const ShownDecision& shown : shown_) views.push_back(shown.view);
  return views;
}

std::optional<std::string> Names::view_key(size_t index, const std::string& key) const {
  const PlanDecision& decision = plan_->decisions[index];
  const PlanSource& source = plan_->sources[decision.source];
  const auto parts = parts_of(key, decision.key_columns.size());
  if (!shown_[index].keyed_by || parts.size() != decision.key_columns.size()) return std::nullopt;
  std::vector<schema::Value> row(source.schema->size());
  for (size_t at = 0; at < parts.size(); ++at) {
    const size_t column = decision.key_columns[at];
    if (source.schema->field(column).type.kind == schema::Kind::kString) {
      row[column] = parts[at];
      continue;
    }
    auto value = features::parse_value(parts[at], source.schema->field(column).type);
    if (!value.ok()) return std::nullopt;
    row[column] = std::move(value).value();
  }
  schema::Batch rows(source.schema);
  rows.append_row(row);
  std::string bytes;
  if (!shown_[index].keyed_by->key_of(rows, 0, bytes)) return std::nullopt;
  return bytes;
}

}  // namespace qw::app
