#include "app/runtime/against.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "app/runtime/training_run.h"
#include "features/online/view_states.h"
#include "serve/open_version.h"
#include "serve/version_states.h"
#include "store/commit/checkpointer.h"
#include "store/commit/meta_names.h"
#include "store/commit/partitions.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};

// Of a healing webhook; see Healers.
std::string heal_outbox(const std::string& heal) { return "heal." + heal; }

// The events of a log that a start would read, and under which schemas they were written.
struct ReadAgain {
  uint64_t events = 0;
  bool from_the_beginning = true;  // nothing before the first was removed
  std::optional<EventTime> first, newest;
  std::set<uint64_t> schemas;
};

class Against {
 public:
  Against(const Plan& plan, const store::Store& store, const models::Registry& registry)
      : plan_(plan), store_(store), registry_(registry) {}

  Result<std::vector<Finding>> run() {
    QW_TRY(partitions_.open(store_));
    for (const PlanSource& source : plan_.sources) {
      QW_TRY(look_at_source(source));
      for (const features::StoredView& view : source.views) QW_TRY(look_at_view(source, view));
    }
    for (size_t decision = 0; decision < plan_.decisions.size(); ++decision) {
      QW_TRY(look_at_decision(decision));
      QW_TRY(look_at_model(decision));
    }
    QW_TRY(look_at_sinks());
    QW_TRY(look_for_removed());
    return std::move(findings_);
  }

 private:
  Finding& add(std::string part, std::string name, Fate fate, std::string detail) {
    findings_.push_back({std::move(part), std::move(name), fate, std::move(detail), "", 0, false});
    return findings_.back();
  }

  // Of a source, by "SOURCE/", or of a decision, by "DECISION@".
  std::vector<PartitionId> logs_of(const std::string& prefix) const {
    std::vector<PartitionId> found;
    for (const auto& [name, partition] : partitions_.known())
      if (name.starts_with(prefix)) found.push_back(partition);
    return found;
  }

  // How many records are kept of some logs.
  Result<uint64_t> kept_of(store::Log log, const std::vector<PartitionId>& partitions) const {
    uint64_t kept = 0;
    for (const PartitionId partition : partitions) {
      QW_ASSIGN(const auto segments, store::segments_of(store_, log, partition));
      for (const store::Segment& segment : segments) kept += segment.records;
      QW_ASSIGN(const Seq first, store_.scan_tail(log, partition, Seq{}, Seq{}, {}));
      QW_ASSIGN(const Seq last, store_.last_seq(log, partition));
      kept += last >= first ? last.value() - first.value() + 1 : 0;
    }
    return kept;
  }

  Result<void> look_at_source(const PlanSource& source) {
    const auto partitions = logs_of(source.name + "/");
    QW_ASSIGN(const uint64_t kept, kept_of(store::Log::kEvents, partitions));
    if (kept == 0) {
      add("source", source.name, Fate::kNew, "no event of it is stored");
      return {};
    }
    Finding& found = add("source", source.name, Fate::kKept, "");
    found.records = kept;
    for (const PartitionId partition : partitions) {
      QW_ASSIGN(const std::string changes, changes_of(source, partition));
      if (found.detail.empty()) found.detail = changes;
    }
    return {};
  }

  // How the columns of the newest stored event differ from today's, in words.
  Result<std::string> changes_of(const PlanSource& source, PartitionId partition) {
    std::optional<uint64_t> id;
    QW_TRY(store::History(store_).scan_back(store::Log::kEvents, partition, kEnd, 1,
                                            [&](Seq, std::string_view record) {
                                              const auto event = schema::decode_event(record);
                                              if (event.ok()) id = event->schema_fingerprint;
                                              return false;
                                            }));
    if (!id || *id == source.schema->fingerprint()) return std::string();
    QW_ASSIGN(const auto stored, schemas_.rows(*id));
    if (stored == nullptr) return std::string("its schema is not known");
    std::string changes;
    const auto say = [&](const std::string& what) {
      changes += (changes.empty() ? "" : "; ") + what;
    };
    for (const schema::Field& field : source.schema->fields()) {
      const auto at = stored->index_of(field.name);
      if (!at) {
        say(fmt::format("column '{}' is new: null in stored events", field.name));
        continue;
      }
      const schema::Type& before = stored->field(*at).type;
      if (before == field.type) continue;
      say(fmt::format("column '{}' was {} and is {}: {}", field.name, before.to_string(),
                      field.type.to_string(),
                      schema::reads_as(before, field.type)
                          ? "stored values are read as that"
                          : "stored values are not read, and null where nothing needs them"));
    }
    for (const schema::Field& field : stored->fields())
      if (!source.schema->index_of(field.name))
        say(fmt::format("column '{}' is gone: it is left out when stored events are read",
                        field.name));
    return changes.empty() ? std::string("columns are in another order") : changes;
  }

  Result<ReadAgain> read_again(const std::string& owner, PartitionId partition) const {
    ReadAgain again;
    QW_ASSIGN(const Seq low, store::stored_low_water(store_, owner, partition));
    std::optional<Seq> begins;
    QW_TRY(store::History(store_).scan(store::Log::kEvents, partition, next(low), kEnd,
                                       [&](Seq seq, std::string_view record) {
                                         const auto event = schema::decode_event(record);
                                         if (!event.ok())
                                           return true;  // `quickwater doctor` finds damage
                                         if (!begins) begins = seq;
                                         ++again.events;
                                         again.schemas.insert(event->schema_fingerprint);
                                         const EventTime time = event->facts.event_time;
                                         again.first = std::min(again.first.value_or(time), time);
                                         again.newest = std::max(again.newest.value_or(time), time);
                                         return true;
                                       }));
    again.from_the_beginning = !begins || *begins == next(low);
    return again;
  }

  Result<void> look_at_view(const PlanSource& source, const features::StoredView& view) {
    QW_ASSIGN(const auto low_waters, store::stored_low_waters(store_, view.owner));
    Finding found{"view", view.view->name(), Fate::kNew, "", "", 0, false};
    std::optional<Error> refused;
    for (const PartitionId partition : logs_of(source.name + "/")) {
      QW_ASSIGN(const ReadAgain again, read_again(view.owner, partition));
      found.records += again.events;
      features::StoredRows rows(store_, source.schema, view.view->columns());
      for (const uint64_t schema : again.schemas)
        if (const auto usable = rows.check(schema); !usable.ok()) refused = usable.error();
      const bool kept = low_waters.contains(partition);
      if (kept && found.fate == Fate::kNew) found.fate = Fate::kKept;
      if (!kept && again.events > 0) {
        found.fate = Fate::kRebuilt;
        note_gap(*view.view, again, found);
      }
    }
    if (refused) {
      found.fate = Fate::kImpossible;
      found.detail = refused->message;
      found.how_to_mend = refused->how_to_mend;
    } else if (found.fate == Fate::kRebuilt) {
      found.detail =
          fmt::format("its states are made anew from {} events{}", found.records, found.detail);
    } else if (found.fate == Fate::kKept) {
      found.detail = fmt::format("{} events are read behind its checkpoints", found.records);
    }
    findings_.push_back(std::move(found));
    return {};
  }

  // What a window that is made anew from a log without its beginning lacks.
  static void note_gap(const features::View& view, const ReadAgain& again, Finding& found) {
    const bool covers =
        again.from_the_beginning || again.newest->value() - again.first->value() >= view.keep_us();
    if (covers) return;
    found.lossy = true;
    found.detail = fmt::format(
        ", but the log begins {} s before its newest event and the longest window with its "
        "lateness reaches back {} s: features are too small until that has passed",
        (again.newest->value() - again.first->value()) / 1'000'000, view.keep_us() / 1'000'000);
    found.how_to_mend =
        "take the definition back, or wait; a longer `retention.events` helps the "
        "next change";
  }

  Result<void> look_at_decision(size_t decision) {
    const std::string& name = plan_.decisions[decision].name;
    const PlanSource& source = plan_.sources[plan_.decisions[decision].source];
    QW_ASSIGN(const uint64_t kept,
              kept_of(store::Log::kDecisions, logs_of(name + "@" + source.name + "/")));
    QW_ASSIGN(const uint64_t all, kept_of(store::Log::kDecisions, logs_of(name + "@")));
    Finding& found = add("decision", name, all == 0 ? Fate::kNew : Fate::kKept, "");
    found.records = all;
    if (all > kept)
      found.detail = fmt::format(
          "{} of its decisions were made on another source; they stay in the log", all - kept);
    return {};
  }

  Result<void> look_at_model(size_t decision) {
    const PlanDecision& planned = plan_.decisions[decision];
    const PlanModel& model = plan_.models[planned.model];
    const std::string name = fmt::format("{} (of {})", model.name, planned.name);
    if (model.registry_name.empty()) {
      add("model", name, Fate::kKept, "rules keep nothing");
      return {};
    }
    QW_ASSIGN(const int64_t number, serve::serving_version(&store_, registry_, model));
    if (number == 0 && !model.engine) {
      add("model", name, Fate::kNew, "no version serves yet");
      return {};
    }
    serve::ServingOptions options;
    options.decision = planned.name;
    options.model = model.name;
    options.input = serve::input_definition(planned);
    options.inputs = serve::offered_inputs(planned);
    const auto opened = serve::open_version(store_, registry_, model, options, number);
    if (!opened.ok()) {
      Finding& found = add("model", name, Fate::kImpossible, opened.error().message);
      found.how_to_mend = opened.error().how_to_mend;
      return {};
    }
    const serve::LearningVersion* const version = (*opened)->learning();
    if (version == nullptr) {
      add("model", name, Fate::kKept, fmt::format("version {} keeps nothing", number));
      return {};
    }
    QW_ASSIGN(const serve::StatesAre states, serve::states_of(store_, *version));
    QW_ASSIGN(const uint64_t decisions,
              kept_of(store::Log::kDecisions,
                      logs_of(planned.name + "@" + plan_.sources[planned.source].name + "/")));
    if (states == serve::StatesAre::kOurs) {
      add("model", name, Fate::kKept, fmt::format("version {}", number));
      return {};
    }
    Finding& found = add("model", name, decisions == 0 ? Fate::kNew : Fate::kRebuilt,
                         fmt::format("version {}", number));
    found.records = decisions;
    if (decisions == 0) return {};
    found.detail += fmt::format(
        "{}: it learns anew from the log of {} decisions, as far as they hold what it reads",
        states == serve::StatesAre::kAnothers ? " is defined in another way" : "", decisions);
    return {};
  }

  Result<uint64_t> waiting_for(const std::string& sink) const {
    uint64_t waiting = 0;
    QW_TRY(store_.scan_outbox(sink, Seq{}, SIZE_MAX, [&](Seq, std::string_view) {
      ++waiting;
      return true;
    }));
    return waiting;
  }

  Result<void> look_at_sinks() {
    QW_ASSIGN(const auto stored, store_.outbox_sinks());
    const std::set<std::string> known(stored.begin(), stored.end());
    std::set<std::string> planned;
    for (const PlanDecision& decision : plan_.decisions) {
      for (const PlanSink& sink : decision.sinks) planned.insert(sink.name);
      for (const PlanHeal& heal : decision.heals)
        if (known.contains(heal_outbox(heal.name))) planned.insert(heal_outbox(heal.name));
    }
    for (const std::string& sink : planned) {
      QW_ASSIGN(const uint64_t waiting, waiting_for(sink));
      add("sink", sink, known.contains(sink) ? Fate::kKept : Fate::kNew,
          waiting == 0 ? "" : fmt::format("{} rows wait to be delivered", waiting))
          .records = waiting;
    }
    for (const std::string& sink : stored) {
      if (planned.contains(sink)) continue;
      QW_ASSIGN(const uint64_t waiting, waiting_for(sink));
      if (waiting == 0) continue;
      Finding& found = add("sink", sink, Fate::kRemoved,
                           fmt::format("{} rows wait for it and are not delivered", waiting));
      found.records = waiting;
      found.lossy = true;
      found.how_to_mend =
          "let them be delivered before the sink is removed, or give a sink that name";
    }
    return {};
  }

  // What is stored under names that the file no longer has: a rename is a removal and a beginning.
  Result<void> look_for_removed() {
    std::set<std::string> names;
    for (const PlanSource& source : plan_.sources) names.insert(source.name);
    for (const PlanDecision& decision : plan_.decisions) names.insert(decision.name + "@");
    QW_TRY(look_for_removed_views());
    std::map<std::string, std::vector<PartitionId>> removed;
    for (const auto& [name, partition] : partitions_.known()) {
      const size_t at = name.find('@');
      const std::string owner =
          at == std::string::npos ? name.substr(0, name.rfind('/')) : name.substr(0, at + 1);
      if (!names.contains(owner)) removed[owner].push_back(partition);
    }
    for (const auto& [owner, logs] : removed) {
      const bool decision = owner.ends_with('@');
      QW_ASSIGN(const uint64_t kept,
                kept_of(decision ? store::Log::kDecisions : store::Log::kEvents, logs));
      if (kept == 0) continue;
      add(decision ? "decision" : "source", decision ? owner.substr(0, owner.size() - 1) : owner,
          Fate::kRemoved,
          "its log stays, for `quickwater log` and SQL, as long as `retention` says; a part under "
          "another name begins with nothing")
          .records = kept;
    }
    return {};
  }

  Result<void> look_for_removed_views() {
    std::set<std::string> views;
    for (const PlanSource& source : plan_.sources)
      for (const features::StoredView& view : source.views) views.insert(view.view->name());
    std::set<std::string> removed;
    const std::string states = store::meta::low_waters_of_views();
    QW_TRY(store_.scan_meta(states, [&](std::string_view name, std::string_view) {
      const auto low = store::meta::parse_low_water(name);
      if (!low) return true;
      const size_t begin = low->owner.find('/') + 1;
      const std::string view(low->owner.substr(begin, low->owner.find('@') - begin));
      if (!views.contains(view)) removed.insert(view);
      return true;
    }));
    for (const std::string& view : removed)
      add("view", view, Fate::kRemoved, "its states are no longer read");
    return {};
  }

  const Plan& plan_;
  const store::Store& store_;
  const models::Registry& registry_;
  store::Partitions partitions_;
  store::Schemas schemas_{store_};
  std::vector<Finding> findings_;
};

}  // namespace

std::string_view name_of(Fate fate) {
  switch (fate) {
    case Fate::kNew: return "new";
    case Fate::kKept: return "kept";
    case Fate::kRebuilt: return "rebuilt";
    case Fate::kRemoved: return "removed";
    case Fate::kImpossible: return "impossible";
  }
  return "unknown";
}

Result<std::vector<Finding>> hold_against(const Plan& plan, const store::Store& store,
                                          const models::Registry& registry) {
  return Against(plan, store, registry).run();
}

}  // namespace qw::app
