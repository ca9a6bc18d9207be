#include "serve/scoring_version.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "base/log.h"
#include "store/schemas.h"
#include "store/segments/history.h"

namespace qw::serve {
namespace {

Result<size_t> score_of(const schema::Schema& outputs, const std::string& who) {
  if (const auto named = outputs.index_of("score")) return *named;
  if (outputs.size() == 1) return size_t{0};
  std::string names;
  for (const schema::Field& field : outputs.fields())
    names += (names.empty() ? "" : ", ") + field.name;
  return Error{ErrorCode::kBadInput,
               fmt::format("none of the outputs of {} is called 'score': {}", who, names), who,
               "import it again with the output that decides called 'score'"};
}

bool same_fields(const schema::Schema& offered, const std::vector<schema::Field>& stored) {
  if (offered.size() != stored.size()) return false;
  for (size_t index = 0; index < stored.size(); ++index)
    if (offered.field(index).name != stored[index].name ||
        !(offered.field(index).type == stored[index].type))
      return false;
  return true;
}

}  // namespace

ScoringVersion::ScoringVersion(const ServingOptions& options, int64_t version,
                               std::shared_ptr<const models::ScoringEngine> engine,
                               models::ColumnMapping mapping, size_t score_at)
    : ServedVersion(options, version),
      offered_(options.inputs),
      engine_(std::move(engine)),
      mapping_(std::move(mapping)),
      score_at_(score_at),
      row_(engine_->inputs(), 1),
      scores_(engine_->outputs().size()) {}

Result<std::unique_ptr<ScoringVersion>> ScoringVersion::make(
    const ServingOptions& options, int64_t version,
    std::shared_ptr<const models::ScoringEngine> engine) {
  const std::string who = version == 0 ? fmt::format("the model '{}'", options.model)
                                       : fmt::format("the model '{}@{}'", options.model, version);
  QW_ASSIGN(auto mapping, models::ColumnMapping::make(options.inputs, engine->inputs(), who));
  QW_ASSIGN(const size_t score_at, score_of(engine->outputs(), who));
  return std::unique_ptr<ScoringVersion>(
      new ScoringVersion(options, version, std::move(engine), std::move(mapping), score_at));
}

Result<double> ScoringVersion::score(const std::vector<schema::Value>& inputs) {
  mapping_.fill(inputs, row_);
  QW_TRY(engine_->score(row_.rows(), scores_));
  return scores_[score_at_];
}

Result<std::optional<models::Score>> ScoringVersion::answer(PartitionId,
                                                            const schema::DecisionRecord& record,
                                                            int64_t) {
  const auto scored = score(record.inputs);
  models::Score answer;
  answer.score = scored.value_or(std::numeric_limits<double>::quiet_NaN());
  answer.warm = scored.ok();
  answer.warm_up = 1;
  if (!scored.ok() && !std::exchange(failing_, true))
    log::warning("model", "{} fails; its decisions have no score: {}", owner(),
                 scored.error().to_string());
  return std::optional(answer);
}

Result<size_t> ScoringVersion::try_on(const store::Store& store, PartitionId stream, Seq last,
                                      size_t most) {
  store::Schemas schemas(store);
  store::History history(store);
  const Seq from{last.value() >= most ? last.value() - most + 1 : 1};
  size_t scored = 0;
  Result<void> tried;
  QW_TRY(history.scan(store::Log::kDecisions, stream, from, next(last),
                      [&](Seq, std::string_view bytes) {
                        tried = [&]() -> Result<void> {
                          QW_ASSIGN(const auto record, schema::decode_decision(bytes));
                          QW_ASSIGN(const auto known, schemas.decision(record.schema_id));
                          if (!known || !same_fields(offered_, known->inputs)) return {};
                          QW_TRY(score(record.inputs));
                          ++scored;
                          return {};
                        }();
                        return tried.ok();
                      }));
  QW_TRY(tried);
  return scored;
}

}  // namespace qw::serve
