#include "app/runtime/training_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "app/runtime/record_names.h"
#include "base/bytes.h"
#include "serve/learning_model.h"
#include "store/commit/journal.h"
#include "store/commit/journal_kinds.h"
#include "store/commit/partitions.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};
constexpr int64_t kUnresolvedUs = 60'000'000;  // what an alert that is still open is taken for

using SeriesId = std::pair<PartitionId, std::string>;  // decision stream, key

struct AlertSeen {
  SeriesId series;
  int64_t began_us = 0;
  int64_t ended_us = 0;
};

// What the journal says about one model.
class Truth {
 public:
  Truth(const Plan& plan, size_t model) {
    for (const PlanDecision& decision : plan.decisions)
      if (decision.model == model) decisions_.insert(decision.name);
  }

  Result<void> take(const schema::JournalRecord& record) {
    if (store::is_a<store::VerdictBody>(record)) {
      QW_ASSIGN(const auto verdict, store::body_of<store::VerdictBody>(record));
      verdicts_[verdict.alert_id] = verdict.real;
    }
    if (store::is_a<store::IncidentBody>(record)) {
      QW_ASSIGN(const auto incident, store::body_of<store::IncidentBody>(record));
      incidents_[incident.id] = incident;
    }
    if (store::is_a<store::AlertBody>(record)) take_alert(record);
    return {};
  }

  // Each label with the series it is about, if it is about one.
  std::vector<std::pair<train::Label, std::optional<SeriesId>>> labels(
      const TrainingSources& sources) const {
    std::vector<std::pair<train::Label, std::optional<SeriesId>>> all;
    for (const auto& [id, real] : verdicts_) {
      const auto alert = alerts_.find(id);
      if (!sources.verdicts || alert == alerts_.end()) continue;
      train::Label label;
      label.first_us = alert->second.began_us - kLabelLeadUs;
      label.last_us = alert->second.ended_us;
      label.real = real;
      label.from = "verdict";
      label.id = id;
      all.emplace_back(label, alert->second.series);
    }
    for (const auto& [id, incident] : incidents_) {
      if (!sources.incidents || incident.state == "failed") continue;
      train::Label label;
      label.first_us = incident.started_us;
      label.last_us = std::max(incident.started_us, incident.ends_us) + kLabelTailUs;
      label.from = "incident";
      label.id = id;
      all.emplace_back(label, std::nullopt);
    }
    return all;
  }

 private:
  // A body that cannot be read is of a newer version: its alert cannot be labelled.
  void take_alert(const schema::JournalRecord& record) {
    const auto body = store::body_of<store::AlertBody>(record);
    if (!body.ok() || !decisions_.contains(body->decision)) return;
    AlertSeen& alert = alerts_[body->id];
    alert.series = {PartitionId{body->partition}, body->key};
    alert.began_us = body->began_us;
    alert.ended_us = body->resolved_us.value_or(body->opened_us + kUnresolvedUs);
  }

  std::set<std::string> decisions_;
  std::map<std::string, AlertSeen> alerts_;
  std::map<std::string, bool> verdicts_;
  std::map<std::string, store::IncidentBody> incidents_;
};

Result<Truth> read_truth(const store::Store& store, const Plan& plan, size_t model) {
  Truth truth(plan, model);
  Result<void> taken;
  QW_TRY(store::History(store).scan(store::Log::kJournal, store::kJournalPartition, Seq{}, kEnd,
                                    [&](Seq, std::string_view bytes) {
                                      const auto record = schema::decode_journal(bytes);
                                      taken = record.ok() ? truth.take(*record)
                                                          : Result<void>(record.error());
                                      return taken.ok();
                                    }));
  QW_TRY(taken);
  return truth;
}

using Inputs = std::map<PartitionId, std::shared_ptr<const serve::StoredInput>>;

// The streams of the decisions that the model serves, each with what the model reads there.
Result<Inputs> streams_of_model(const store::Store& store, const Plan& plan, size_t model) {
  store::Partitions partitions;
  QW_TRY(partitions.open(store));
  Inputs streams;
  for (size_t decision = 0; decision < plan.decisions.size(); ++decision) {
    if (plan.decisions[decision].model != model) continue;
    const auto input = std::make_shared<const serve::StoredInput>(
        store, serve::input_definition(plan.decisions[decision]));
    for (const auto& [name, stream] : partitions.known())
      if (name.starts_with(plan.decisions[decision].name + "@")) streams[stream] = input;
  }
  return streams;
}

// How many rows each series has.
Result<std::map<SeriesId, size_t>> count_rows(const store::Store& store, const Inputs& streams) {
  std::map<SeriesId, size_t> rows;
  Result<void> counted;
  for (const auto& [stream, input] : streams)
    QW_TRY(store::History(store).scan(store::Log::kDecisions, stream, Seq{}, kEnd,
                                      [&, stream = stream](Seq, std::string_view bytes) {
                                        const auto key = schema::decision_key(bytes);
                                        if (key.ok()) ++rows[{stream, std::string(*key)}];
                                        if (!key.ok()) counted = key.error();
                                        return counted.ok();
                                      }));
  QW_TRY(counted);
  return rows;
}

// Which series are read, and how many of their oldest rows are left out.
std::map<SeriesId, size_t> chosen(const std::map<SeriesId, size_t>& rows,
                                  const std::set<SeriesId>& labelled, size_t rows_max) {
  std::vector<SeriesId> order;
  for (const auto& [series, count] : rows) order.push_back(series);
  std::stable_sort(order.begin(), order.end(), [&](const SeriesId& a, const SeriesId& b) {
    const auto rank = [&](const SeriesId& id) {
      return std::tuple(!labelled.contains(id), checksum64(id.second), id);
    };
    return rank(a) < rank(b);
  });
  std::map<SeriesId, size_t> skipped;
  size_t room = rows_max;
  for (const SeriesId& series : order) {
    const size_t count = rows.at(series);
    if (room == 0 || (count > room && !skipped.empty())) continue;
    skipped[series] = count > room ? count - room : 0;
    room -= std::min(room, count);
  }
  return skipped;
}

Result<void> read_rows(const store::Store& store, const Inputs& streams,
                       std::map<SeriesId, size_t> skipped,
                       std::map<SeriesId, train::Series>& series) {
  Result<void> done;
  for (const auto& [stream, input] : streams)
    QW_TRY(store::History(store).scan(
        store::Log::kDecisions, stream, Seq{}, kEnd,
        [&, stream = stream, input = input](Seq, std::string_view bytes) {
          const auto key = schema::decision_key(bytes);
          const SeriesId id{stream, key.ok() ? std::string(*key) : ""};
          const auto wanted = skipped.find(id);
          if (wanted == skipped.end()) return true;
          if (wanted->second > 0) return --wanted->second, true;
          const auto record = schema::decode_decision(bytes);
          if (!record.ok()) done = record.error();
          if (!record.ok()) return false;
          const auto observation = input->of(*record);
          if (!observation.ok()) done = observation.error();
          if (observation.ok() && *observation) series[id].rows.push_back(**observation);
          return done.ok();
        }));
  return done;
}

}  // namespace

Result<train::LabelCounts> read_label_counts(const store::Store& store, const Plan& plan,
                                             size_t model, const TrainingSources& sources) {
  QW_ASSIGN(const Truth truth, read_truth(store, plan, model));
  train::TrainingData data;
  for (const auto& [label, series] : truth.labels(sources)) data.own.labels.push_back(label);
  return train::count_labels(data);
}

Result<train::History> read_history(const store::Store& store, const Plan& plan, size_t model,
                                    const TrainingSources& sources) {
  QW_ASSIGN(const Truth truth, read_truth(store, plan, model));
  const auto labels = truth.labels(sources);
  std::set<SeriesId> labelled;
  for (const auto& [label, series] : labels)
    if (series) labelled.insert(*series);
  QW_ASSIGN(const auto streams, streams_of_model(store, plan, model));
  QW_ASSIGN(const auto rows, count_rows(store, streams));
  std::map<SeriesId, train::Series> read;
  QW_TRY(read_rows(store, streams, chosen(rows, labelled, sources.rows_max), read));
  train::History history;
  std::map<SeriesId, size_t> numbers;
  for (auto& [id, series] : read) {
    numbers[id] = history.series.size();
    series.name = fmt::format("{}/{}", id.first.value(), id.second);
    history.series.push_back(std::move(series));
  }
  for (auto [label, series] : labels) {
    if (series && !numbers.contains(*series)) continue;  // its rows are no longer kept
    if (series) label.series = numbers.at(*series);
    history.labels.push_back(label);
  }
  return history;
}

}  // namespace qw::app
