#include "serve/learning_model.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"

namespace qw::serve {
namespace {

// The bytes an engine keeps about one series, aligned as it asks.
class SeriesState final : public store::KeyedState {
 public:
  explicit SeriesState(size_t bytes)
      : words_((bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t)), bytes_(bytes) {}
  std::string_view image(std::string&) const override {
    return {reinterpret_cast<const char*>(words_.data()), bytes_};
  }
  size_t memory_bytes() const override { return words_.size() * sizeof(uint64_t) + sizeof *this; }
  std::span<std::byte> span() { return {reinterpret_cast<std::byte*>(words_.data()), bytes_}; }

 private:
  std::vector<uint64_t> words_;
  size_t bytes_;
};

class SeriesKind final : public store::KeyedStateKind {
 public:
  SeriesKind(std::shared_ptr<const models::LearningEngine> engine, std::string owner,
             std::shared_ptr<const StoredInput> input)
      : engine_(std::move(engine)), owner_(std::move(owner)), input_(std::move(input)) {}

  std::unique_ptr<store::KeyedState> fresh(std::string_view) const override {
    auto state = std::make_unique<SeriesState>(engine_->state_bytes());
    engine_->init(state->span());
    return state;
  }

  Result<std::unique_ptr<store::KeyedState>> decode(std::string_view key,
                                                    std::string_view image) const override {
    if (image.size() != engine_->state_bytes())
      return Error{ErrorCode::kCorrupt,
                   fmt::format("the state of '{}' has {} bytes, its model needs {}", key,
                               image.size(), engine_->state_bytes()),
                   owner_, "publish the model under a new version, or use a fresh data folder"};
    auto state = std::make_unique<SeriesState>(image.size());
    std::memcpy(state->span().data(), image.data(), image.size());
    return std::unique_ptr<store::KeyedState>(std::move(state));
  }

  Result<void> replay(store::KeyedState& state, std::string_view, Seq,
                      std::string_view record) const override {
    QW_ASSIGN(const schema::DecisionRecord decision, schema::decode_decision(record));
    QW_ASSIGN(const auto observation, input_->of(decision));
    if (observation)
      engine_->update_and_score(*observation, static_cast<SeriesState&>(state).span());
    return {};
  }

 private:
  const std::shared_ptr<const models::LearningEngine> engine_;
  const std::string owner_;
  const std::shared_ptr<const StoredInput> input_;
};

}  // namespace

models::Observation observation_of(const schema::DecisionRecord& record) {
  models::Observation observation;
  observation.event_time_us = record.as_of.value();
  observation.value = std::numeric_limits<double>::quiet_NaN();
  if (record.inputs.empty()) return observation;
  if (const auto* number = std::get_if<double>(&record.inputs.front())) observation.value = *number;
  if (const auto* number = std::get_if<int64_t>(&record.inputs.front()))
    observation.value = static_cast<double>(*number);
  return observation;
}

LearningVersion::LearningVersion(const store::Store& store, const ServingOptions& options,
                                 int64_t version,
                                 std::shared_ptr<const models::LearningEngine> engine)
    : ServedVersion(options, version),
      engine_(std::move(engine)),
      store_(store),
      options_(options),
      input_(std::make_shared<StoredInput>(store, options.input)),
      kind_(std::make_shared<SeriesKind>(engine_, owner(), input_)) {}

uint64_t LearningVersion::definition() const {
  std::string identity =
      fmt::format("{}|{}|{}", engine_->kind(), engine_->settings_json(), engine_->state_bytes());
  const InputDefinition& reads = input_->definition();
  for (const schema::Field& field : reads.key) identity += "|k:" + field.name;
  if (reads.input)
    identity += fmt::format("|i:{}:{}", reads.input->name, reads.input->type.to_string());
  return checksum64(identity);
}

store::KeyedTable& LearningVersion::add_stream(PartitionId stream) {
  auto& table = tables_[stream];
  if (table) return *table;
  store::KeyedTableOptions options;
  options.owner = owner();
  options.partition = stream;
  options.log = store::Log::kDecisions;
  options.replay_max_us = options_.replay_max_us;
  options.memory = options_.memory;
  options.memory_limit_bytes = size_t{1} << 30;
  table = std::make_shared<store::KeyedTable>(store_, options, kind_);
  return *table;
}

Result<std::optional<models::Score>> LearningVersion::answer(PartitionId stream,
                                                             const schema::DecisionRecord& record,
                                                             int64_t now_us) {
  return score(stream, record.key, record.event_seq, now_us, observation_of(record));
}

Result<std::optional<models::Score>> LearningVersion::score(
    PartitionId stream, std::string_view key, Seq seq, int64_t now_us,
    const models::Observation& observation) {
  std::optional<models::Score> score;
  QW_TRY(tables_.at(stream)->apply<SeriesState>(key, seq, now_us, [&](SeriesState& state) {
    score = engine_->update_and_score(observation, state.span());
  }));
  return score;
}

}  // namespace qw::serve
