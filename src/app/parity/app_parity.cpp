#include "app/parity/app_parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "app/runtime/partitions.h"
#include "app/runtime/view_states.h"
#include "features/parity/generate.h"
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

// Each view in a scenario of its own; in the first one's also all derived features of the source,
// which may read every view.
Result<void> compare_views(const Plan& plan, const PlanSource& source,
                           const AppParityOptions& options, const MakeScenario& make,
                           ParityReport& report) {
  std::vector<DeriveDefinition> derives;
  for (const features::Derived& derived : source.derived)
    derives.push_back({derived.name, written(plan, derived.name).as.text});
  std::vector<features::ViewDefinition> also;
  for (const PlanView& view : source.views)
    if (&view != &source.views.front()) also.push_back(view.view->definition());
  for (const PlanView& view : source.views) {
    QW_ASSIGN(const Scenario scenario, make(source, *view.view, derives, also));
    QW_TRY(features::compare_scenario(scenario, options.compare, report));
    derives.clear();
    also.clear();
  }
  return {};
}

// The newest events of the source, partition after partition, each in the order of arrival.
Result<schema::EventBatch> newest_events(const PlanSource& source, const store::Store& store,
                                         size_t most) {
  Partitions partitions;
  QW_TRY(partitions.open(store));
  std::vector<PartitionId> of_source;
  for (const auto& [name, partition] : partitions.known())
    if (name.starts_with(source.name + "/")) of_source.push_back(partition);
  schema::EventBatch events{schema::Batch(source.schema), {}};
  for (const PartitionId partition : of_source) {
    const uint64_t share = std::max<uint64_t>(1, most / of_source.size());
    QW_ASSIGN(const Seq last, store.last_seq(store::Log::kEvents, partition));
    const Seq from{last.value() > share ? last.value() - share + 1 : 0};
    Result<void> taken;
    QW_TRY(store::History(store).scan(store::Log::kEvents, partition, from, Seq{last.value() + 1},
                                      [&](Seq, std::string_view record) {
                                        auto event = stored_event_rows(record, source.schema);
                                        if (!event.ok()) {
                                          taken = event.error();
                                          return false;
                                        }
                                        events.rows.append_row_from(event.value().rows, 0);
                                        events.facts.push_back(event.value().facts[0]);
                                        return true;
                                      }));
    QW_TRY(taken);
  }
  return events;
}

void thin_out(std::vector<features::Read>& reads, size_t most) {
  if (reads.size() <= most) return;
  std::vector<features::Read> kept;
  for (size_t i = 0; i < most; ++i) kept.push_back(std::move(reads[i * reads.size() / most]));
  reads = std::move(kept);
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

Result<void> parity_of_history(const Plan& plan, const store::Store& store,
                               const AppParityOptions& options, ParityReport& report) {
  for (const PlanSource& source : plan.sources) {
    if (source.views.empty()) continue;
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
  }
  return {};
}

}  // namespace qw::app
