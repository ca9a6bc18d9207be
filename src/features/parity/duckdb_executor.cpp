#include <fmt/format.h>

#include "features/dialects/duckdb/sql.h"
#include "features/parity/executors.h"

namespace qw::features {
namespace {

constexpr schema::Field kRowId{"row_id", schema::kInt64, false};

// "{1=20, 2=7}"; null where everything is known.
schema::Value known_text(const Read& read) {
  if (!read.known) return {};
  std::string text;
  for (const auto& [partition, seq] : *read.known)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", partition.value(), seq.value());
  return "{" + text + "}";
}

schema::Batch spine_of(const Scenario& scenario) {
  std::vector<schema::Field> fields{kRowId};
  for (const size_t index : scenario.view->key_columns())
    fields.push_back(scenario.view->source().field(index));
  for (const char* name : {"partition", "event_time", "seq"})
    fields.push_back({name, schema::kInt64, true});
  fields.push_back({"known", schema::kString, true});
  schema::Batch spine(std::make_shared<const schema::Schema>(std::move(fields)));
  for (size_t row = 0; row < scenario.reads.size(); ++row) {
    const Read& read = scenario.reads[row];
    std::vector<schema::Value> values{static_cast<int64_t>(row)};
    values.insert(values.end(), read.key.begin(), read.key.end());
    const bool about_event = read.about_event();
    values.push_back(about_event ? int64_t{read.partition.value()} : schema::Value());
    values.emplace_back(read.point.event_time.value());
    values.push_back(about_event ? static_cast<int64_t>(read.point.seq.value()) : schema::Value());
    values.push_back(known_text(read));
    spine.append_row(values);
  }
  return spine;
}

// The query's columns: row_id, then each feature, followed by its bound where it has one.
Result<void> run_view(const Scenario& scenario, duckdb::Engine& engine, Answers& answers) {
  std::vector<schema::Field> fields{kRowId};
  for (const Feature& feature : scenario.view->features()) {
    fields.push_back({feature.name, feature.type, true});
    if (feature.parity == ParityClass::kFloat)
      fields.push_back({feature.name + "__bound", schema::kDouble, true});
  }
  const std::string sql = duckdb::view_query(*scenario.view, {"events", "spine", true});
  QW_ASSIGN(const schema::Batch rows,
            engine.query(sql, std::make_shared<const schema::Schema>(std::move(fields))));
  const auto& features = scenario.view->features();
  answers.bounds.assign(rows.rows() * features.size(), 0);
  for (size_t row = 0; row < rows.rows(); ++row) {
    size_t column = 1;
    for (size_t f = 0; f < features.size(); ++f) {
      answers.features.column(f).append_from(rows.column(column++), row);
      if (features[f].parity != ParityClass::kFloat) continue;
      const schema::Column& bound = rows.column(column++);
      if (bound.valid(row)) answers.bounds[row * features.size() + f] = bound.double_at(row);
    }
  }
  return {};
}

Result<void> run_derived(const Scenario& scenario, const schema::Batch& inputs,
                         duckdb::Engine& engine, Answers& answers) {
  if (scenario.derived.empty()) return {};
  std::vector<schema::Field> fields{kRowId};
  for (const schema::Field& field : inputs.schema().fields()) fields.push_back(field);
  schema::Batch table(std::make_shared<const schema::Schema>(std::move(fields)));
  for (size_t row = 0; row < inputs.rows(); ++row) {
    table.column(0).append_int(static_cast<int64_t>(row));
    for (size_t i = 0; i < inputs.columns().size(); ++i)
      table.column(i + 1).append_from(inputs.column(i), row);
  }
  QW_TRY(engine.load("inputs", table));
  std::vector<schema::Field> wanted{kRowId};
  for (const schema::Field& field : answers.derived.schema().fields()) wanted.push_back(field);
  QW_ASSIGN(const schema::Batch rows,
            engine.query(duckdb::derived_query(scenario.derived, "inputs"),
                         std::make_shared<const schema::Schema>(std::move(wanted))));
  for (size_t row = 0; row < rows.rows(); ++row)
    for (size_t i = 0; i < scenario.derived.size(); ++i)
      answers.derived.column(i).append_from(rows.column(i + 1), row);
  return {};
}

}  // namespace

Result<Answers> answer_by_duckdb(const Scenario& scenario, const schema::Batch& inputs,
                                 const duckdb::Limits& limits) {
  QW_ASSIGN(const auto engine, duckdb::open_engine(limits));
  Answers answers(scenario);
  if (scenario.events_sql.empty())
    QW_TRY(engine->load_events("events", scenario.events));
  else
    QW_TRY(engine->run("create table events as " + scenario.events_sql));
  QW_TRY(engine->load("reads", spine_of(scenario)));
  QW_TRY(engine->run(
      "create table spine as select * replace (known::map(bigint, bigint) as known) from reads"));
  QW_TRY(run_view(scenario, *engine, answers));
  QW_TRY(run_derived(scenario, inputs, *engine, answers));
  return answers;
}

}  // namespace qw::features
