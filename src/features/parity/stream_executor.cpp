#include <algorithm>
#include <map>
#include <optional>

#include "features/parity/executors.h"
#include "features/stream/key_join.h"

namespace qw::features {
namespace {

class StreamRun {
 public:
  StreamRun(const Scenario& scenario, const ViewPtr& view)
      : scenario_(scenario), view_(*view), worker_(view) {}

  void run(schema::Batch& features, std::vector<FeatureStatus>* statuses) {
    rows_.resize(scenario_.reads.size());
    // Reads in the order in which their known position is reached; without one, at the end.
    note_arrivals();
    std::vector<size_t> order(scenario_.reads.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::vector<size_t> arrivals(order.size());
    std::ranges::transform(order, arrivals.begin(), [this](size_t i) { return arrival_of(i); });
    std::ranges::stable_sort(order, {}, [&](size_t i) { return arrivals[i]; });
    size_t next = 0;
    for (size_t event = 0; event < scenario_.events.facts.size(); ++event) {
      while (next < order.size() && arrivals[order[next]] <= event) read(order[next++]);
      apply(event);
    }
    while (next < order.size()) read(order[next++]);
    for (const FeatureRow& row : rows_) {
      for (size_t f = 0; f < row.cells.size(); ++f) append_cell(features.column(f), row.cells[f]);
      if (statuses != nullptr)
        statuses->insert(statuses->end(), row.statuses.begin(), row.statuses.end());
    }
  }

 private:
  // Seqs of a partition rise in the order of arrival.
  void note_arrivals() {
    const auto& facts = scenario_.events.facts;
    for (size_t i = 0; i < facts.size(); ++i)
      arrivals_[facts[i].partition.value()].emplace_back(facts[i].seq, i + 1);
  }
  // How many events have arrived when the read happens.
  size_t arrival_of(size_t read) const {
    const Read& what = scenario_.reads[read];
    if (!what.known) return scenario_.events.facts.size();
    size_t arrival = 0;
    for (const auto& [partition, seq] : *what.known) {
      const auto found = arrivals_.find(partition.value());
      if (found == arrivals_.end()) continue;
      const auto after =
          std::ranges::upper_bound(found->second, seq, {}, &std::pair<Seq, size_t>::first);
      if (after != found->second.begin()) arrival = std::max(arrival, std::prev(after)->second);
    }
    return arrival;
  }
  void apply(size_t event) {
    std::string key;
    schema::EventFacts facts = scenario_.events.facts[event];
    if (!view_.key_of(scenario_.events.rows, event, key)) return;
    Entity& entity = entities_[key];
    const uint32_t partition = facts.partition.value();
    KeyState& own = entity.parts.try_emplace(partition, view_).first->second;
    const Applied applied = own.apply(worker_, scenario_.events.rows, event, facts);
    if (!entity.joined) return;
    facts.seq = KeyJoin::seq_in(partition, facts.seq);
    entity.joined->follow(worker_, scenario_.events.rows, event, facts, applied, own.missing());
  }
  // The key of the view that is read; of a further view the one that the event has.
  bool key_of(const Read& what, std::string& key) const {
    if (&view_ != scenario_.view.get())
      return what.event && view_.key_of(scenario_.events.rows, *what.event, key);
    schema::Batch row(scenario_.events.rows.schema_ptr());
    std::vector<schema::Value> values(row.columns().size());
    for (size_t i = 0; i < what.key.size(); ++i) values[view_.key_columns()[i]] = what.key[i];
    row.append_row(values);
    return view_.key_of(row, 0, key);
  }
  void read(size_t index) {
    const Read& what = scenario_.reads[index];
    std::string key;
    const bool has_key = key_of(what, key);
    FeatureRow& out = rows_[index];
    if (has_key)
      read(entities_[key], what, out);
    else
      KeyState(view_).read(worker_, what.point, out);
    for (size_t f = 0; f < out.cells.size(); ++f) {  // texts must outlive later events
      if (out.cells[f].null || out.cells[f].text.empty()) continue;
      texts_.push_back(std::make_unique<std::string>(out.cells[f].text));
      out.cells[f].text = *texts_.back();
    }
  }
  // One state for each partition, and, as in the program, one more that follows all of them from
  // when it is first asked for. The number of a partition is its rank.
  struct Entity {
    std::map<uint32_t, KeyState> parts;
    std::optional<KeyState> joined;
  };
  void read(Entity& entity, const Read& what, FeatureRow& out) {
    if (entity.parts.size() == 1 && entity.parts.contains(what.partition.value()))
      return entity.parts.begin()->second.read(worker_, what.point, out);
    ReadPoint point = what.point;
    if (what.about_event()) point.seq = KeyJoin::seq_in(what.partition.value(), point.seq);
    if (!entity.joined) entity.joined = join(entity);
    const bool whole = std::ranges::all_of(view_.windows(), [&](const Window& window) {
      return entity.joined->missing().value() < window.first_inside(point.event_time.value());
    });
    if (whole) return entity.joined->read(worker_, point, out);
    texts_of_ = join(entity);
    texts_of_->read(worker_, point, out);
  }
  KeyState join(const Entity& entity) const {
    KeyJoin join(view_);
    for (const auto& [partition, state] : entity.parts) join.add(partition, state);
    return join.finish();
  }

  const Scenario& scenario_;
  const View& view_;
  ViewWorker worker_;
  std::map<uint32_t, std::vector<std::pair<Seq, size_t>>> arrivals_;  // by partition
  std::map<std::string, Entity> entities_;                            // by key
  std::optional<KeyState> texts_of_;  // what a row's texts point into
  std::vector<FeatureRow> rows_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

}  // namespace

Answers answer_by_stream(const Scenario& scenario) {
  Answers answers(scenario);
  StreamRun(scenario, scenario.view).run(answers.features, &answers.statuses);
  for (size_t i = 0; i < scenario.also.size(); ++i)
    StreamRun(scenario, scenario.also[i]).run(answers.also[i], nullptr);
  // Each derived feature may read the ones before it, so the inputs grow.
  std::vector<schema::Field> fields = scenario.inputs->fields();
  for (const Derived& derived : scenario.derived)
    fields.push_back({derived.name, derived.expression.type(), true});
  const schema::Batch own = inputs_of(scenario, answers);
  std::vector<Evaluator> derived;
  for (const Derived& one : scenario.derived) derived.emplace_back(one.expression);
  for (size_t row = 0; row < scenario.reads.size(); ++row) {
    std::vector<Cell> cells;
    for (const schema::Column& column : own.columns()) cells.push_back(cell_at(column, row));
    for (size_t i = 0; i < derived.size(); ++i) {
      cells.push_back(derived[i].evaluate(cells));
      append_cell(answers.derived.column(i), cells.back());
    }
  }
  return answers;
}

}  // namespace qw::features
