#include "app/parity/app_parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "app/runtime/rolled_logs.h"
#include "features/online/view_states.h"
#include "features/parity/generate.h"
#include "store/commit/partitions.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

using features::DeriveDefinition;
using features::ParityReport;
using features::Scenario;

const Derive& written(const Plan& plan, const std::string& name) {
  const auto found = std::ranges::find_if(plan.file.derives,
                                          [&](const Derive& one) { return one.name.text == name; });
  return *found;
}

using MakeScenario = std::function<Result<Scenario>(const PlanSource&, const features::View&,
                                                    const std::vector<DeriveDefinition>&,
                                                    const std::vector<features::ViewDefinition>&)>;

// The source's derived features that can be compared on its own events, and a note of the others.
std::vector<DeriveDefinition> derives_on(const Plan& plan, const PlanSource& source,
                                         ParityReport& report) {
  size_t begin = source.features_begin;
  for (const features::StoredView& view : source.views) begin += view.view->features().size();
  size_t end = begin;
  for (const features::JoinedView& view : source.joined) end += view.definition->features().size();
  std::set<size_t> elsewhere;  // inputs that other sources' events are in
  for (size_t at = begin; at < end; ++at) elsewhere.insert(at);
  std::vector<DeriveDefinition> derives;
  for (size_t index = 0; index < source.derived.size(); ++index) {
    const features::Derived& derived = source.derived[index];
    if (std::ranges::any_of(derived.expression.columns(),
                            [&](size_t column) { return elsewhere.contains(column); })) {
      elsewhere.insert(end + index);
      report.notes.push_back(
          fmt::format("{} on {} is made from views of other sources, and not compared",
                      derived.name, source.name));
      continue;
    }
    derives.push_back({derived.name, written(plan, derived.name).as.text});
  }
  return derives;
}

// Each view in a scenario of its own; in the first one's also all derived features of the source,
// which may read every view.
Result<void> compare_views(const Plan& plan, const PlanSource& source,
                           const AppParityOptions& options, const MakeScenario& make,
                           ParityReport& report) {
  std::vector<DeriveDefinition> derives = derives_on(plan, source, report);
  std::vector<features::ViewDefinition> also;
  for (const features::StoredView& view : source.views)
    if (&view != &source.views.front()) also.push_back(view.view->definition());
  for (const features::StoredView& view : source.views) {
    QW_ASSIGN(const Scenario scenario, make(source, *view.view, derives, also));
    QW_TRY(features::compare_scenario(scenario, options.compare, report));
    derives.clear();
    also.clear();
  }
  return {};
}

// A partition of a source: its number there, by which features order partitions.
struct SourcePartition {
  PartitionId id;
  uint32_t number = 0;
};

Result<std::vector<SourcePartition>> partitions_of(const store::Store& store,
                                                   const PlanSource& source) {
  store::Partitions partitions;
  QW_TRY(partitions.open(store));
  std::vector<SourcePartition> found;
  for (const auto& [name, id] : partitions.known())
    if (name.starts_with(source.name + "/"))
      found.push_back({id, static_cast<uint32_t>(std::stoul(name.substr(source.name.size() + 1)))});
  return found;
}

// Reads the events with seq in [from, to), in the order of arrival. In what is compared a partition
// has its number for an id.
Result<void> append_events(const store::Store& store, const SourcePartition& partition, Seq from,
                           Seq to, const PlanSource& source, schema::EventBatch& events) {
  Result<void> taken;
  features::StoredRows rows(store, source.schema, source.columns_of_views());
  QW_TRY(store::History(store).scan(store::Log::kEvents, partition.id, from, to,
                                    [&](Seq, std::string_view record) {
                                      auto event = rows.of(record);
                                      if (!event.ok()) {
                                        taken = event.error();
                                        return false;
                                      }
                                      events.rows.append_row_from(event.value().rows, 0);
                                      events.facts.push_back(event.value().facts[0]);
                                      events.facts.back().partition = PartitionId{partition.number};
                                      return true;
                                    }));
  return taken;
}

// Of partition after partition, each in the order of arrival: in the order in which all of them
// arrived, as far as the clock tells.
schema::EventBatch in_order_of_arrival(const PlanSource& source,
                                       const std::vector<schema::EventBatch>& partitions) {
  schema::EventBatch all{schema::Batch(source.schema), {}};
  std::vector<size_t> next(partitions.size());
  while (true) {
    std::optional<size_t> first;
    for (size_t at = 0; at < partitions.size(); ++at) {
      if (next[at] == partitions[at].facts.size()) continue;
      if (!first ||
          partitions[at].facts[next[at]].known_at < partitions[*first].facts[next[*first]].known_at)
        first = at;
    }
    if (!first) return all;
    all.rows.append_row_from(partitions[*first].rows, next[*first]);
    all.facts.push_back(partitions[*first].facts[next[*first]++]);
  }
}

// The newest events of the source.
Result<schema::EventBatch> newest_events(const PlanSource& source, const store::Store& store,
                                         size_t most) {
  QW_ASSIGN(const auto partitions, partitions_of(store, source));
  std::vector<schema::EventBatch> events;
  for (const SourcePartition& partition : partitions) {
    const uint64_t share = std::max<uint64_t>(1, most / partitions.size());
    QW_ASSIGN(const Seq last, store.last_seq(store::Log::kEvents, partition.id));
    const Seq from{last.value() > share ? last.value() - share + 1 : 0};
    events.push_back({schema::Batch(source.schema), {}});
    QW_TRY(append_events(store, partition, from, next(last), source, events.back()));
  }
  return in_order_of_arrival(source, events);
}

void thin_out(std::vector<features::Read>& reads, size_t most) {
  if (reads.size() <= most) return;
  std::vector<features::Read> kept;
  for (size_t i = 0; i < most; ++i) kept.push_back(std::move(reads[i * reads.size() / most]));
  reads = std::move(kept);
}

// Events that are whole segments: as our decoder reads them, and as SQL over the files.
struct SegmentEvents {
  schema::EventBatch events;
  std::string sql;
};

// As the source has its columns now, whatever the files were written under.
std::string sql_over(const store::Store& store, const std::vector<store::Segment>& segments,
                     const PlanSource& source) {
  using store::duckdb::quoted;
  const auto known = event_columns(*source.schema);
  const size_t ours = known->size() - source.schema->size();
  std::string columns, files;
  for (size_t at = 0; at < source.schema->size(); ++at) {
    const schema::Field& field = source.schema->field(at);
    const std::string name = quoted(known->field(ours + at).name);
    const bool time = field.type.kind == schema::Kind::kTimestamp;
    columns += fmt::format("{} as {}, ",
                           time ? fmt::format("epoch_us({})", name)
                                : fmt::format("{}::{}", name, store::duckdb::type_name(field.type)),
                           quoted(field.name));
  }
  for (const store::Segment& segment : segments)
    files +=
        (files.empty() ? "" : ", ") +
        store::duckdb::quoted_text(store::segment_folder(store.folder()) + "/" + segment.file());
  return fmt::format(
      "select {}epoch_us(event_time) as event_time, partition::bigint as partition, seq, "
      "epoch_us(known_at) as known_at, status from (select * exclude (record) from "
      "read_parquet([{}], union_by_name => true) union all by name {})",
      columns, files, empty_rows(*known));
}

// The newest segments of each partition, until there are enough events.
Result<SegmentEvents> newest_segments(const PlanSource& source, const store::Store& store,
                                      size_t most) {
  QW_ASSIGN(const auto partitions, partitions_of(store, source));
  std::vector<schema::EventBatch> events;
  SegmentEvents read{{schema::Batch(source.schema), {}}, ""};
  for (const SourcePartition& partition : partitions) {
    QW_ASSIGN(auto segments, store::segments_of(store, store::Log::kEvents, partition.id));
    uint64_t records = 0;
    auto first = segments.end();
    while (first != segments.begin() && records < most) records += (--first)->records;
    segments.erase(segments.begin(), first);
    if (segments.empty()) continue;
    events.push_back({schema::Batch(source.schema), {}});
    for (const store::Segment& segment : segments)
      QW_TRY(append_events(store, partition, segment.from, segment.to, source, events.back()));
    read.sql += (read.sql.empty() ? "" : " union all ") + sql_over(store, segments, source);
  }
  read.events = in_order_of_arrival(source, events);
  return read;
}

}  // namespace

Result<void> parity_of_generated(const Plan& plan, const AppParityOptions& options,
                                 ParityReport& report) {
  for (const PlanSource& source : plan.sources) {
    const MakeScenario make = [&](const PlanSource& from, const features::View& view,
                                  const std::vector<DeriveDefinition>& derives,
                                  const std::vector<features::ViewDefinition>& also) {
      return features::make_generated(view.definition(), derives, from.schema,
                                      from.file->event_time.text, view.allowed_lateness_us(),
                                      options.compare.seed, options.events, also);
    };
    QW_TRY(compare_views(plan, source, options, make, report));
  }
  return {};
}

namespace {

// A view of another source, read at the events of `source` with what had arrived there by then.
Result<void> compare_joined(const Plan& plan, const PlanSource& source,
                            const features::JoinedView& joined, const schema::EventBatch& at,
                            const store::Store& store, const AppParityOptions& options,
                            ParityReport& report) {
  const PlanSource& of = plan.sources[joined.source];
  const features::View& view = *joined.definition;
  QW_ASSIGN(Scenario scenario,
            features::make_scenario(view.definition(), {}, of.schema, view.allowed_lateness_us()));
  scenario.name = fmt::format("{} on {}, history", view.name(), source.name);
  QW_ASSIGN(scenario.events, newest_events(of, store, options.events));
  features::Arrivals arrivals;
  size_t arrived = 0;
  for (size_t event = 0; event < at.facts.size(); ++event) {
    const schema::EventFacts& facts = at.facts[event];
    for (; arrived < scenario.events.facts.size() &&
           scenario.events.facts[arrived].known_at <= facts.known_at;
         ++arrived)
      arrivals.take(scenario.events.facts[arrived]);
    features::Read read;
    for (const size_t column : joined.key_columns)
      read.key.push_back(at.rows.column(column).value_at(event));
    if (!facts.counts() || std::ranges::any_of(read.key, schema::is_null)) continue;
    read.point.event_time = facts.event_time;
    read.known = arrivals.known();
    scenario.reads.push_back(std::move(read));
  }
  thin_out(scenario.reads, options.history_reads);
  return features::compare_scenario(scenario, options.compare, report);
}

}  // namespace

Result<void> parity_of_history(const Plan& plan, const store::Store& store,
                               const AppParityOptions& options, ParityReport& report) {
  for (const PlanSource& source : plan.sources) {
    if (source.views.empty() && source.joined.empty()) continue;
    QW_ASSIGN(const schema::EventBatch events, newest_events(source, store, options.events));
    if (events.facts.empty()) {
      report.notes.push_back(fmt::format("{} has no history", source.name));
      continue;
    }
    const MakeScenario make =
        [&](const PlanSource&, const features::View& view,
            const std::vector<DeriveDefinition>& derives,
            const std::vector<features::ViewDefinition>& also) -> Result<Scenario> {
      QW_ASSIGN(Scenario scenario, features::scenario_of_events(view.definition(), derives, events,
                                                                view.allowed_lateness_us(), also));
      scenario.name = fmt::format("{}, history", view.name());
      thin_out(scenario.reads, options.history_reads);
      return scenario;
    };
    QW_TRY(compare_views(plan, source, options, make, report));
    for (const features::JoinedView& joined : source.joined)
      QW_TRY(compare_joined(plan, source, joined, events, store, options, report));
  }
  return {};
}

Result<void> parity_of_segments(const Plan& plan, const store::Store& store,
                                const AppParityOptions& options, ParityReport& report) {
  for (const PlanSource& source : plan.sources) {
    if (source.views.empty()) continue;
    QW_ASSIGN(const SegmentEvents read, newest_segments(source, store, options.events));
    if (read.events.facts.empty()) {
      report.notes.push_back(fmt::format("{} has no segments", source.name));
      continue;
    }
    const MakeScenario make =
        [&](const PlanSource&, const features::View& view,
            const std::vector<DeriveDefinition>& derives,
            const std::vector<features::ViewDefinition>& also) -> Result<Scenario> {
      QW_ASSIGN(Scenario scenario,
                features::scenario_of_events(view.definition(), derives, read.events,
                                             view.allowed_lateness_us(), also));
      scenario.name = fmt::format("{}, segments", view.name());
      scenario.events_sql = read.sql;
      thin_out(scenario.reads, options.history_reads);
      return scenario;
    };
    QW_TRY(compare_views(plan, source, options, make, report));
  }
  return {};
}

}  // namespace qw::app
