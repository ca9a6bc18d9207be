#include "app/runtime/rolled_logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "app/runtime/decision_json.h"
#include "app/runtime/record_names.h"
#include "schema/records.h"
#include "store/commit/journal.h"
#include "store/commit/partitions.h"
#include "store/duckdb/engine.h"
#include "store/segments/listing.h"
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

// SQL takes "A" and "a" for one name, and the file adds seq and record: later ones get a '_'. The
// first `ours` keep their names; which of the others is later, their names say: files of several
// schemas must agree.
std::shared_ptr<const schema::Schema> unique_columns(std::vector<Field> fields, size_t ours) {
  std::vector<Field*> order;
  for (Field& field : fields) order.push_back(&field);
  std::sort(order.begin() + static_cast<ptrdiff_t>(std::min(ours, order.size())), order.end(),
            [](const Field* a, const Field* b) { return a->name < b->name; });
  std::set<std::string> taken{"seq", "record"};
  for (Field* const field : order)
    while (!taken.insert(folded(field->name)).second) field->name += '_';
  return std::make_shared<const schema::Schema>(std::move(fields));
}

int64_t partition_of(std::string_view name) {
  int64_t number = 0;
  const size_t slash = name.rfind('/');
  std::from_chars(name.data() + slash + 1, name.data() + name.size(), number);
  return number;
}

// ---- events

constexpr size_t kOfEvents = 4;

// `source`: null for one that the plan no longer has.
RolledLog events_of(const std::string& name, const PlanSource* source, const store::Store& store,
                    PartitionId partition, int64_t number) {
  RolledLog log{store::Log::kEvents, partition, "events_" + name, nullptr, {}};
  if (source != nullptr) log.columns = event_columns(*source->schema);
  const auto schemas = std::make_shared<store::Schemas>(store);
  const auto columns =
      std::make_shared<std::map<uint64_t, std::shared_ptr<const schema::Schema>>>();
  log.row = [=](std::string_view record) -> Result<RolledRow> {
    QW_ASSIGN(const schema::StoredEvent event, schema::decode_event(record));
    RolledRow row{nullptr,
                  {number, event.facts.event_time.value(), event.facts.known_at.value(),
                   std::string(schema::name_of(event.facts.status))}};
    QW_ASSIGN(auto schema, schemas->rows(event.schema_fingerprint));
    if (!schema && source != nullptr && source->schema->fingerprint() == event.schema_fingerprint)
      schema = source->schema;
    // Of before schemas were stored, and unknown: the record itself is kept whole.
    if (!schema) schema = std::make_shared<const schema::Schema>();
    auto& shared = (*columns)[event.schema_fingerprint];
    if (!shared) shared = event_columns(*schema);
    row.columns = shared;
    if (schema->size() == 0) return row;
    schema::Batch values(schema);
    QW_TRY(schema::decode_row(event.row_bytes, values));
    for (const schema::Column& column : values.columns()) row.cells.push_back(column.value_at(0));
    return row;
  };
  return log;
}

// ---- decisions

// Who asked, what answered, what was seen. A column of such a name cannot be a feature's.
const std::vector<Field> kOfRecord{{"record.trigger", schema::kString},
                                   {"record.id", schema::kString, true},
                                   {"record.model", schema::kString},
                                   {"record.version", schema::kInt64, true},
                                   {"record.fallback", schema::kBool},
                                   {"record.variant", schema::kString, true},
                                   {"record.propensity", schema::kDouble, true},
                                   {"record.known", schema::kString, true},
                                   {"record.statuses", schema::kString, true}};

// "payments/3", of each partition.
using PartitionNames = std::map<PartitionId, std::string>;

Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

void add_cells_of_record(const schema::DecisionRecord& record, const schema::DecisionSchema& names,
                         const PartitionNames& partitions, Cells& cells) {
  nlohmann::json known = nlohmann::json::object();
  for (const auto& [partition, seq] : record.known)
    if (const auto name = partitions.find(partition); name != partitions.end())
      known[name->second] = seq.value();
  cells.emplace_back(record.trigger == schema::Trigger::kRequest ? "request" : "event");
  cells.push_back(text_or_null(record.id));
  cells.emplace_back(record.model);
  cells.push_back(record.version ? Value(*record.version) : Value());
  cells.emplace_back(int64_t{record.fallback ? 1 : 0});
  cells.push_back(text_or_null(record.variant));
  cells.push_back(record.variant.empty() ? Value() : Value(record.propensity));
  cells.push_back(known.empty() ? Value() : Value(known.dump()));
  cells.push_back(record.statuses.empty() ? Value() : Value(statuses_json(record, names).dump()));
}

std::shared_ptr<const schema::Schema> decision_columns(const schema::DecisionSchema& schema) {
  std::vector<Field> fields{{"decision", schema::kString},      {"key", schema::kString},
                            {"partition", schema::kInt64},      {"as_of", schema::kTimestamp},
                            {"decided_at", schema::kTimestamp}, {"served_by", schema::kString},
                            {"score", schema::kDouble},         {"warm", schema::kBool}};
  for (const Field& field : kOfRecord) fields.push_back(field);
  const size_t ours = fields.size();
  const auto add = [&](const std::vector<Field>& list, const char* prefix) {
    for (const Field& field : list) fields.push_back({prefix + field.name, field.type, true});
  };
  add(schema.features, "");
  add(schema.inputs, "input.");
  add(schema.outputs, "output.");
  for (const std::string& member : schema.members)
    fields.push_back({"member." + member, schema::kDouble});
  return unique_columns(std::move(fields), ours);
}

Cells decision_cells(const schema::DecisionRecord& record, const schema::DecisionSchema& names,
                     const PartitionNames& partitions, int64_t number) {
  // As null: a mean over decisions is none of those without a score.
  const Value score = std::isfinite(record.score) ? Value(record.score) : Value();
  Cells cells{record.decision,           record.key,         number, record.as_of.value(),
              record.decided_at.value(), record.served_by(), score,  int64_t{record.warm ? 1 : 0}};
  add_cells_of_record(record, names, partitions, cells);
  for (const auto* list : {&record.features, &record.inputs, &record.outputs})
    cells.insert(cells.end(), list->begin(), list->end());
  const size_t at = cells.size();
  const size_t members = names.members.size();
  cells.resize(at + members);
  std::copy_n(record.contributions.begin(), std::min(members, record.contributions.size()),
              cells.begin() + static_cast<ptrdiff_t>(at));
  return cells;
}

// `planned`: null for one that the plan no longer has.
RolledLog decisions_of(std::shared_ptr<const schema::DecisionSchema> planned,
                       const store::Store& store,
                       const std::shared_ptr<const PartitionNames>& partitions, PartitionId stream,
                       int64_t number) {
  RolledLog log{store::Log::kDecisions, stream, "decisions", nullptr, {}};
  if (planned) log.columns = decision_columns(*planned);
  const auto names = std::make_shared<DecisionNames>(store);
  const auto columns =
      std::make_shared<std::map<uint64_t, std::shared_ptr<const schema::Schema>>>();
  log.row = [=](std::string_view bytes) -> Result<RolledRow> {
    QW_ASSIGN(const schema::DecisionRecord record, schema::decode_decision(bytes));
    QW_ASSIGN(const RecordNames named, names->of(record, planned.get()));
    auto& shared = (*columns)[record.schema_id];
    if (!shared || named.from != NamesFrom::kSchema) shared = decision_columns(*named.schema);
    return RolledRow{shared, decision_cells(record, *named.schema, *partitions, number)};
  };
  return log;
}

std::shared_ptr<const schema::DecisionSchema> planned_schema(const Plan& plan, size_t decision) {
  const PlanModel& model = plan.models[plan.decisions[decision].model];
  return std::make_shared<const schema::DecisionSchema>(
      serve::decision_schema(plan.decisions[decision], model.engine.get()));
}

// ---- journal and dead letters

RolledLog journal_log() {
  RolledLog log{store::Log::kJournal,
                store::kJournalPartition,
                "journal",
                unique_columns({{"kind", schema::kString},
                                {"happened_at", schema::kTimestamp},
                                {"body", schema::kString}},
                               3),
                {}};
  log.row = [columns = log.columns](std::string_view bytes) -> Result<RolledRow> {
    QW_ASSIGN(const schema::JournalRecord record, schema::decode_journal(bytes));
    return RolledRow{columns, {record.kind, record.at_us, record.json}};
  };
  return log;
}

RolledLog dead_letter_log() {
  RolledLog log{store::Log::kDeadLetters,
                store::kJournalPartition,
                "dead_letters",
                unique_columns({{"source", schema::kString},
                                {"position", schema::kString},
                                {"reason", schema::kString},
                                {"raw", schema::kString},
                                {"happened_at", schema::kTimestamp}},
                               5),
                {}};
  log.row = [columns = log.columns](std::string_view bytes) -> Result<RolledRow> {
    QW_ASSIGN(const schema::DeadLetter letter, schema::decode_dead_letter(bytes));
    return RolledRow{columns,
                     {letter.source, letter.position, letter.reason, letter.raw, letter.at_us}};
  };
  return log;
}

// ---- SQL

// Every file of the manifest by name; and every column that is written now, also while no file has
// it yet.
std::string view_over(const std::vector<std::string>& names,
                      const std::vector<std::shared_ptr<const schema::Schema>>& schemas) {
  std::string files;
  for (const std::string& name : names)
    files += (files.empty() ? "" : ",\n    ") + store::duckdb::quoted_text(name);
  std::string text;
  if (!names.empty())
    text = fmt::format(
        "select * exclude (record) from read_parquet([\n    {}], union_by_name => true)", files);
  for (const auto& schema : schemas)
    text += (text.empty() ? "" : "\n  union all by name ") + empty_rows(*schema);
  return text;
}

}  // namespace

std::shared_ptr<const schema::Schema> event_columns(const schema::Schema& source) {
  std::vector<Field> fields{{"partition", schema::kInt64},
                            {"event_time", schema::kTimestamp},
                            {"known_at", schema::kTimestamp},
                            {"status", schema::kString}};
  for (const Field& field : source.fields()) fields.push_back(field);
  return unique_columns(std::move(fields), kOfEvents);
}

std::string empty_rows(const schema::Schema& columns) {
  std::string text;
  for (const Field& field : columns.fields())
    text += fmt::format("null::{} as {}, ", store::duckdb::type_name(field.type),
                        store::duckdb::quoted(field.name));
  return fmt::format("select {}null::bigint as seq where false", text);
}

Result<std::vector<RolledLog>> rolled_logs(const Plan& plan, const store::Store& store) {
  store::Partitions partitions;
  QW_TRY(partitions.open(store));
  std::vector<RolledLog> logs{journal_log(), dead_letter_log()};
  const auto names = std::make_shared<PartitionNames>();
  for (const auto& [name, partition] : partitions.known()) names->emplace(partition, name);
  for (const auto& [name, partition] : partitions.known()) {
    const int64_t number = partition_of(name);
    const std::string owner = name.substr(0, name.rfind('/'));
    const size_t at = owner.find('@');
    if (at == std::string::npos) {
      const auto source = std::ranges::find(plan.sources, owner, &PlanSource::name);
      logs.push_back(events_of(owner, source == plan.sources.end() ? nullptr : &*source, store,
                               partition, number));
      continue;
    }
    std::shared_ptr<const schema::DecisionSchema> planned;
    for (size_t decision = 0; decision < plan.decisions.size(); ++decision)
      if (plan.decisions[decision].name == owner.substr(0, at))
        planned = planned_schema(plan, decision);
    logs.push_back(decisions_of(planned, store, names, partition, number));
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

Result<std::string> segment_views(const Plan& plan, const store::Store& store,
                                  const ViewFiles& more) {
  struct View {
    std::vector<std::shared_ptr<const schema::Schema>> schemas;
    std::vector<store::Segment> segments;
    std::vector<std::string> files;  // theirs, and more
  };
  QW_ASSIGN(auto logs, rolled_logs(plan, store));
  // A source or decision without partitions has a view, too; no log is of partition 0.
  for (const PlanSource& source : plan.sources)
    logs.push_back(events_of(source.name, &source, store, {}, 0));
  for (size_t decision = 0; decision < plan.decisions.size(); ++decision)
    logs.push_back(decisions_of(planned_schema(plan, decision), store, {}, {}, 0));
  std::map<std::string, View> views;
  for (const RolledLog& log : logs) {
    View& view = views[log.view];
    const auto same = [&](const auto& known) { return *known == *log.columns; };
    if (log.columns && std::ranges::none_of(view.schemas, same))
      view.schemas.push_back(log.columns);
    QW_ASSIGN(const auto segments, store::segments_of(store, log.log, log.partition));
    for (const store::Segment& segment : segments) view.files.push_back(segment.file());
    view.segments.insert(view.segments.end(), segments.begin(), segments.end());
  }
  for (const auto& [name, files] : more)
    views[name].files.insert(views[name].files.end(), files.begin(), files.end());
  std::string text;
  std::vector<store::ViewFiles> sealed;
  for (const auto& [name, view] : views) {
    if (view.files.empty() && view.schemas.empty()) continue;
    sealed.push_back({name, view.segments});
    text += fmt::format("create or replace view {} as\n  {};\n", store::duckdb::quoted(name),
                        view_over(view.files, view.schemas));
  }
  return store::seal_views(text, sealed);
}

}  // namespace qw::app
