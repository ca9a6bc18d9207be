#include "app/parity/app_parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

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

// The derived features of the source that a scenario with this one view can compute, in order.
std::vector<DeriveDefinition> derives_of(const Plan& plan, const PlanSource& source,
                                         const features::View& view,
                                         std::set<std::string>& compared) {
  std::vector<DeriveDefinition> fitting;
  for (const features::Derived& derived : source.derived) {
    if (compared.contains(derived.name)) continue;
    fitting.push_back({derived.name, written(plan, derived.name).as.text});
    const auto made = features::make_scenario(view.definition(), fitting, source.schema,
                                              view.allowed_lateness_us());
    if (made.ok())
      compared.insert(derived.name);
    else
      fitting.pop_back();
  }
  return fitting;
}

using MakeScenario = std::function<Result<Scenario>(const PlanSource&, const features::View&,
                                                    const std::vector<DeriveDefinition>&)>;

Result<void> compare_views(const Plan& plan, const PlanSource& source,
                           const AppParityOptions& options, const MakeScenario& make,
                           ParityReport& report) {
  std::set<std::string> compared;
  for (const PlanView& view : source.views) {
    const auto derives = derives_of(plan, source, *view.view, compared);
    QW_ASSIGN(const Scenario scenario, make(source, *view.view, derives));
    QW_TRY(features::compare_scenario(scenario, options.compare, report));
  }
  for (const features::Derived& derived : source.derived)
    if (!compared.contains(derived.name) && !source.views.empty())
      report.notes.push_back(fmt::format("{} reads several views: not compared", derived.name));
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
                                  const std::vector<DeriveDefinition>& derives) {
      return features::make_generated(view.definition(), derives, from.schema,
                                      from.file->event_time.text, view.allowed_lateness_us(),
                                      options.compare.seed, options.events);
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
            const std::vector<DeriveDefinition>& derives) -> Result<Scenario> {
      QW_ASSIGN(Scenario scenario, features::scenario_of_events(view.definition(), derives, events,
                                                                view.allowed_lateness_us()));
      scenario.name = fmt::format("{}, history", view.name());
      thin_out(scenario.reads, options.history_reads);
      return scenario;
    };
    QW_TRY(compare_views(plan, source, options, make, report));
  }
  return {};
}

}  // namespace qw::app
