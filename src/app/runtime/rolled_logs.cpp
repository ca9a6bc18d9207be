#include "app/runtime/rolled_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "app/runtime/journal.h"
#include "app/runtime/partitions.h"
#include "app/runtime/view_states.h"
#include "features/cell_text.h"
#include "schema/records.h"
#include "store/duckdb/engine.h"
#include "store/segments/segment.h"

namespace qw::app {
namespace {

using schema::Field;
using schema::Value;
using Cells = std::vector<Value>;

std::string folded(std::string_view name) {
  std::string low(name);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

// SQL takes "A" and "a" for one name, and the file adds seq and record: later ones get a '_'.
std::shared_ptr<const schema::Schema> unique_columns(std::vector<Field> fields) {
  std::set<std::string> taken{"seq", "record"};
  for (Field& field : fields)
    while (!taken.insert(folded(field.name)).second) field.name += '_';
  return std::make_shared<const schema::Schema>(std::move(fields));
}

int64_t partition_of(std::string_view name) {
  int64_t number = 0;
  const size_t slash = name.rfind('/');
  std::from_chars(name.data() + slash + 1, name.data() + name.size(), number);
  return number;
}

// ---- events

RolledLog events_of(const PlanSource& source, PartitionId partition, int64_t number) {
  // Ours first: they keep their names.
  std::vector<Field> fields{{"partition", schema::kInt64},
                            {"event_time", schema::kTimestamp},
                            {"known_at", schema::kTimestamp},
                            {"status", schema::kString}};
  for (const Field& field : source.schema->fields()) fields.push_back(field);
  RolledLog log{store::Log::kEvents,
                partition,
                "events_" + source.name,
                unique_columns(std::move(fields)),
                {}};
  log.cells = [schema = source.schema, number](std::string_view record) -> Result<Cells> {
    QW_ASSIGN(const schema::StoredEvent event, schema::decode_event(record));
    Cells cells{number, event.facts.event_time.value(), event.facts.known_at.value(),
                std::string(schema::name_of(event.facts.status))};
    cells.resize(cells.size() + schema->size());
    if (event.schema_fingerprint != schema->fingerprint()) return cells;
    schema::Batch row(schema);
    QW_TRY(schema::decode_row(event.row_bytes, row));
    for (size_t column = 0; column < schema->size(); ++column)
      cells[4 + column] = row.column(column).value_at(0);
    return cells;
  };
  return log;
}

// ---- decisions

// Where the record's lists begin among the columns.
struct DecisionColumns {
  std::shared_ptr<const schema::Schema> schema;
  size_t features = 0, inputs = 0, outputs = 0, members = 0;
};

DecisionColumns decision_columns(const Plan& plan, const PlanDecision& decision) {
  const PlanSource& source = plan.sources[decision.source];
  const PlanModel& model = plan.models[decision.model];
  std::vector<Field> fields{{"decision", schema::kString},      {"key", schema::kString},
                            {"partition", schema::kInt64},      {"as_of", schema::kTimestamp},
                            {"decided_at", schema::kTimestamp}, {"served_by", schema::kString},
                            {"score", schema::kDouble},         {"warm", schema::kBool}};
  DecisionColumns columns;
  columns.features = fields.size();
  for (size_t at = source.features_begin; at < decision.model_begin; ++at)
    fields.push_back(decision.inputs->field(at));
  columns.inputs = fields.size();
  for (const size_t at : decision.model_inputs) {
    fields.push_back(decision.inputs->field(at));
    fields.back().name.insert(0, "input.");
  }
  columns.outputs = fields.size();
  for (size_t index = 0; index < decision.outputs.size(); ++index) {
    fields.push_back(decision.inputs->field(decision.outputs_begin + index));
    fields.back().name.insert(0, "output.");
  }
  columns.members = fields.size();
  if (model.engine)
    for (const auto& member : model.engine->members())
      fields.push_back({fmt::format("member.{}", member), schema::kDouble});
  columns.schema = unique_columns(std::move(fields));
  return columns;
}

// A value fits its column when the definition has not changed since.
bool fits(const Value& value, const schema::Type& type) {
  if (schema::is_null(value)) return true;
  if (std::holds_alternative<double>(value)) return type.kind == schema::Kind::kDouble;
  if (std::holds_alternative<std::string>(value)) return type.kind == schema::Kind::kString;
  return type.is_integral();
}

void fill(const DecisionColumns& columns, size_t begin, size_t end,
          const std::vector<Value>& values, Cells& cells) {
  if (values.size() != end - begin) return;
  for (size_t index = 0; index < values.size(); ++index)
    if (fits(values[index], columns.schema->field(begin + index).type))
      cells[begin + index] = values[index];
}

RolledLog decisions_of(const Plan& plan, const PlanDecision& decision, PartitionId stream,
                       int64_t number) {
  const DecisionColumns columns = decision_columns(plan, decision);
  RolledLog log{store::Log::kDecisions, stream, "decisions", columns.schema, {}};
  log.cells = [columns, number](std::string_view bytes) -> Result<Cells> {
    QW_ASSIGN(const schema::DecisionRecord record, schema::decode_decision(bytes));
    Cells cells{
        record.decision,           record.key,       number,       record.as_of.value(),
        record.decided_at.value(), record.served_by, record.score, int64_t{record.warm ? 1 : 0}};
    cells.resize(columns.schema->size());
    fill(columns, columns.features, columns.inputs, record.features, cells);
    fill(columns, columns.inputs, columns.outputs, record.inputs, cells);
    fill(columns, columns.outputs, columns.members, record.outputs, cells);
    if (record.contributions.size() == cells.size() - columns.members)
      std::copy(record.contributions.begin(), record.contributions.end(),
                cells.begin() + static_cast<ptrdiff_t>(columns.members));
    return cells;
  };
  return log;
}

// ---- journal and dead letters

RolledLog journal_log() {
  RolledLog log{store::Log::kJournal,
                kJournalPartition,
                "journal",
                unique_columns({{"kind", schema::kString},
                                {"happened_at", schema::kTimestamp},
                                {"body", schema::kString}}),
                {}};
  log.cells = [](std::string_view bytes) -> Result<Cells> {
    QW_ASSIGN(const schema::JournalRecord record, schema::decode_journal(bytes));
    return Cells{record.kind, record.at_us, record.json};
  };
  return log;
}

RolledLog dead_letter_log() {
  RolledLog log{store::Log::kDeadLetters,
                kJournalPartition,
                "dead_letters",
                unique_columns({{"source", schema::kString},
                                {"position", schema::kString},
                                {"reason", schema::kString},
                                {"raw", schema::kString},
                                {"happened_at", schema::kTimestamp}}),
                {}};
  log.cells = [](std::string_view bytes) -> Result<Cells> {
    QW_ASSIGN(const schema::DeadLetter letter, schema::decode_dead_letter(bytes));
    return Cells{letter.source, letter.position, letter.reason, letter.raw, letter.at_us};
  };
  return log;
}

// ---- SQL

std::string empty_view(const std::vector<std::shared_ptr<const schema::Schema>>& schemas) {
  std::string columns;
  std::set<std::string> named;
  for (const auto& schema : schemas)
    for (const Field& field : schema->fields())
      if (named.insert(field.name).second)
        columns += fmt::format("null::{} as {}, ", store::duckdb::type_name(field.type),
                               store::duckdb::quoted(field.name));
  return fmt::format("select {}null::bigint as seq where false", columns);
}

std::string view_over(const std::vector<store::Segment>& segments) {
  std::string files;
  for (const store::Segment& segment : segments)
    files += (files.empty() ? "" : ",\n    ") + store::duckdb::quoted_text(segment.file());
  return fmt::format(
      "select * exclude (record) from read_parquet([\n    {}], union_by_name => true)", files);
}

}  // namespace

Result<std::vector<RolledLog>> rolled_logs(const Plan& plan, const store::Store& store) {
  Partitions partitions;
  QW_TRY(partitions.open(store));
  std::vector<RolledLog> logs{journal_log(), dead_letter_log()};
  for (const auto& [name, partition] : partitions.known()) {
    const int64_t number = partition_of(name);
    const std::string owner = name.substr(0, name.rfind('/'));
    for (const PlanSource& source : plan.sources)
      if (owner == source.name) logs.push_back(events_of(source, partition, number));
    for (const PlanDecision& decision : plan.decisions)
      if (owner == decision.name + "@" + plan.sources[decision.source].name)
        logs.push_back(decisions_of(plan, decision, partition, number));
  }
  return logs;
}

Result<int64_t> written_us(store::Log log, std::string_view record) {
  switch (log) {
    case store::Log::kEvents: {
      QW_ASSIGN(const auto event, schema::decode_event(record));
      return event.facts.known_at.value();
    }
    case store::Log::kDecisions: {
      QW_ASSIGN(const auto decision, schema::decode_decision(record));
      return decision.decided_at.value();
    }
    case store::Log::kJournal: {
      QW_ASSIGN(const auto journal, schema::decode_journal(record));
      return journal.at_us;
    }
    case store::Log::kDeadLetters: {
      QW_ASSIGN(const auto letter, schema::decode_dead_letter(record));
      return letter.at_us;
    }
  }
  return Error{ErrorCode::kInternal, "there is no such log", "", ""};
}

Result<std::string> segment_views(const Plan& plan, const store::Store& store) {
  struct View {
    std::vector<std::shared_ptr<const schema::Schema>> schemas;
    std::vector<store::Segment> segments;
  };
  QW_ASSIGN(auto logs, rolled_logs(plan, store));
  // A source or decision without partitions has a view, too; no log is of partition 0.
  for (const PlanSource& source : plan.sources) logs.push_back(events_of(source, {}, 0));
  for (const PlanDecision& decision : plan.decisions)
    logs.push_back(decisions_of(plan, decision, {}, 0));
  std::map<std::string, View> views;
  for (const RolledLog& log : logs) {
    View& view = views[log.view];
    view.schemas.push_back(log.columns);
    QW_ASSIGN(const auto segments, store::segments_of(store, log.log, log.partition));
    view.segments.insert(view.segments.end(), segments.begin(), segments.end());
  }
  std::string text =
      "-- Views over the segments of this folder; replaced whenever they change. For a DuckDB "
      "that\n"
      "-- was started in this folder: .read views.sql\n";
  for (const auto& [name, view] : views)
    text +=
        fmt::format("create or replace view {} as\n  {};\n", store::duckdb::quoted(name),
                    view.segments.empty() ? empty_view(view.schemas) : view_over(view.segments));
  return text;
}

}  // namespace qw::app
