#include "features/parity/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>

#include "features/cell_text.h"

namespace qw::features {
namespace {

// Derived features are computed from equal inputs; only math libraries may round differently.
constexpr double kMathLibraryUlps = 16 * 2.220446049250313e-16;

struct Judgement {
  bool equal = true;
  double difference = 0;
};

Judgement judge(const Cell& ours, const Cell& theirs, const schema::Type& type, double bound) {
  if (ours.null || theirs.null) return {ours.null == theirs.null, 0};
  if (type.kind == schema::Kind::kString) return {ours.text == theirs.text, 0};
  if (type.kind != schema::Kind::kDouble)
    return {ours.i == theirs.i,
            std::fabs(static_cast<double>(ours.i) - static_cast<double>(theirs.i))};
  const double difference = std::fabs(ours.d - theirs.d);
  return {difference <= bound, difference};
}

// One feature: how its column lies in the answers, and what is allowed.
struct Column {
  const schema::Column& ours;
  const schema::Column& theirs;
  FeatureReport report;
};

void compare_row(const Scenario& scenario, Column& column, size_t read, double bound) {
  FeatureReport& report = column.report;
  const Cell ours = cell_at(column.ours, read);
  const Cell theirs = cell_at(column.theirs, read);
  const Judgement judgement = judge(ours, theirs, column.ours.type(), bound);
  ++report.rows;
  report.worst = std::max(report.worst, judgement.difference);
  if (bound > 0)
    report.worst_of_bound = std::max(report.worst_of_bound, judgement.difference / bound);
  if (judgement.equal) return;
  if (report.outside++ == 0)
    report.first.push_back({read, text_of(ours, column.ours.type()),
                            text_of(theirs, column.theirs.type()), bound,
                            describe_read(scenario, read)});
}

std::vector<size_t> rows_of(const Scenario& scenario, const std::vector<size_t>& sample) {
  if (!sample.empty()) return sample;
  std::vector<size_t> rows(scenario.reads.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  return rows;
}

std::string event_text(const Scenario& scenario, size_t event) {
  const schema::EventFacts& facts = scenario.events.facts[event];
  std::string text = fmt::format(
      "    {} partition {} seq {} known_at {} {}:", facts.event_time.value(),
      facts.partition.value(), facts.seq.value(), facts.known_at.value(), name_of(facts.status));
  for (const schema::Column& column : scenario.events.rows.columns())
    text += " " + (column.valid(event) && column.type().kind == schema::Kind::kDouble
                       ? fmt::format("{}", column.double_at(event))
                       : text_of(cell_at(column, event), column.type()));
  return text + "\n";
}

}  // namespace

std::string describe_read(const Scenario& scenario, size_t index) {
  const Read& read = scenario.reads[index];
  std::string key;
  for (const schema::Value& value : read.key)
    key += " " + (std::holds_alternative<std::string>(value) ? std::get<std::string>(value)
                  : std::holds_alternative<int64_t>(value)
                      ? fmt::format("{}", std::get<int64_t>(value))
                      : std::string("null"));
  std::string text = fmt::format("  key{} as of {}", key, read.point.event_time.value());
  if (read.about_event())
    text += fmt::format(" partition {} seq {}", read.partition.value(), read.point.seq.value());
  text += " known";
  if (!read.known) text += " all";
  for (const auto& [partition, seq] : read.known.value_or(KnownVector()))
    text += fmt::format(" {}:{}", partition.value(), seq.value());
  text += "\n";
  std::vector<size_t> events;
  for (size_t e = 0; e < scenario.events.facts.size(); ++e) {
    bool same = scenario.events.facts[e].event_time <= read.point.event_time;
    for (size_t i = 0; i < read.key.size() && same; ++i)
      same =
          scenario.events.rows.column(scenario.view->key_columns()[i]).value_at(e) == read.key[i];
    if (same) events.push_back(e);
  }
  std::ranges::sort(events, {}, [&](size_t e) {
    const schema::EventFacts& facts = scenario.events.facts[e];
    return std::tuple(facts.event_time, facts.partition, facts.seq);
  });
  constexpr size_t kShown = 20;
  if (events.size() > kShown) text += fmt::format("    ({} older)\n", events.size() - kShown);
  for (size_t i = events.size() > kShown ? events.size() - kShown : 0; i < events.size(); ++i)
    text += event_text(scenario, events[i]);
  return text;
}

void compare_answers(const Scenario& scenario, const Answers& ours, const Answers& theirs,
                     std::string_view against, const std::vector<size_t>& sample,
                     ParityReport& report) {
  const std::vector<size_t> rows = rows_of(scenario, sample);
  const auto& features = scenario.view->features();
  for (size_t f = 0; f < features.size(); ++f) {
    Column column{ours.features.column(f), theirs.features.column(f), {}};
    column.report.scenario = scenario.name;
    column.report.feature = scenario.view->name() + "." + features[f].name;
    column.report.against = std::string(against);
    column.report.parity = features[f].parity;
    for (const size_t row : rows) {
      const size_t at = row * features.size() + f;
      const FeatureStatus status = ours.statuses[at];
      if (status == FeatureStatus::kHotKey || status == FeatureStatus::kIncomplete) {
        ++column.report.skipped;
        continue;
      }
      compare_row(scenario, column, row,
                  features[f].parity == ParityClass::kFloat ? theirs.bounds[at] : 0);
    }
    report.features.push_back(std::move(column.report));
  }
  for (size_t i = 0; i < scenario.derived.size(); ++i) {
    Column column{ours.derived.column(i), theirs.derived.column(i), {}};
    const bool library = scenario.derived[i].expression.calls_math_library();
    column.report.scenario = scenario.name;
    column.report.feature = scenario.derived[i].name;
    column.report.against = std::string(against);
    column.report.parity = library ? ParityClass::kFloat : ParityClass::kExact;
    for (const size_t row : rows) {
      const Cell cell = cell_at(column.theirs, row);
      const bool number =
          library && !cell.null && column.theirs.type().kind == schema::Kind::kDouble;
      compare_row(scenario, column, row, number ? kMathLibraryUlps * std::fabs(cell.d) : 0);
    }
    report.features.push_back(std::move(column.report));
  }
}

size_t ParityReport::outside() const {
  size_t count = 0;
  for (const FeatureReport& feature : features) count += feature.outside;
  return count;
}

size_t ParityReport::rows() const {
  size_t count = 0;
  for (const FeatureReport& feature : features) count += feature.rows;
  return count;
}

std::string ParityReport::to_text() const {
  std::string text =
      fmt::format("{:<24} {:<24} {:<8} {:<6} {:>9} {:>8} {:>8} {:>11} {:>9}\n", "data", "feature",
                  "against", "class", "rows", "skipped", "outside", "worst", "of bound");
  for (const FeatureReport& f : features)
    text += fmt::format("{:<24} {:<24} {:<8} {:<6} {:>9} {:>8} {:>8} {:>11.3g} {:>9.3g}\n",
                        f.scenario, f.feature, f.against, name_of(f.parity), f.rows, f.skipped,
                        f.outside, f.worst, f.worst_of_bound);
  for (const FeatureReport& f : features)
    for (const Difference& d : f.first)
      text += fmt::format("\nfirst difference of {} in {}: stream {}, {} {} (allowed {:.3g})\n{}",
                          f.feature, f.scenario, d.ours, f.against, d.theirs, d.bound, d.inputs);
  for (const std::string& note : notes) text += "note: " + note + "\n";
  return text + fmt::format("{} rows compared, {} outside their class\n", rows(), outside());
}

std::string ParityReport::to_json() const {
  nlohmann::json out = {{"rows", rows()}, {"outside", outside()}, {"notes", notes}};
  out["features"] = nlohmann::json::array();
  for (const FeatureReport& f : features) {
    nlohmann::json one = {{"data", f.scenario},
                          {"feature", f.feature},
                          {"against", f.against},
                          {"class", std::string(name_of(f.parity))},
                          {"rows", f.rows},
                          {"skipped", f.skipped},
                          {"outside", f.outside},
                          {"worst", f.worst},
                          {"worst_of_bound", f.worst_of_bound}};
    for (const Difference& d : f.first)
      one["first_difference"] = {{"read", d.read},
                                 {"stream", d.ours},
                                 {"other", d.theirs},
                                 {"bound", d.bound},
                                 {"inputs", d.inputs}};
    out["features"].push_back(std::move(one));
  }
  // Texts of events may hold any bytes.
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace qw::features
