#include "serve/model_slot.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "base/progress.h"
#include "serve/version_states.h"
#include "store/commit/meta_names.h"

namespace qw::serve {
ModelSlot::ModelSlot(store::Store& store, store::Lane& lane, store::Checkpointer& checkpointer,
                     const Clock& clock, ServingOptions options)
    : store_(store),
      lane_(lane),
      checkpointer_(checkpointer),
      clock_(clock),
      options_(std::move(options)),
      served_by_(options_.model) {}

Result<void> ModelSlot::open_stream(PartitionId stream) {
  QW_ASSIGN(streams_[stream], store_.last_seq(store::Log::kDecisions, stream));
  for (ServedVersion* version : {champion_.get(), challenger_.get()}) {
    LearningVersion* const learning = version == nullptr ? nullptr : version->learning();
    if (learning == nullptr) continue;
    QW_TRY(open_stream_of(*learning, stream));
    watch(*learning, stream);
  }
  return {};
}

void ModelSlot::watch(LearningVersion& version, PartitionId stream) {
  checkpointer_.add(version.tables().at(stream), streams_.at(stream));
}

Result<void> ModelSlot::open_stream_of(LearningVersion& version, PartitionId stream) {
  store::KeyedTable& table = version.add_stream(stream);
  QW_ASSIGN(const Seq low, store::stored_low_water(store_, version.owner(), stream));
  QW_ASSIGN(const Seq last, store_.last_seq(store::Log::kDecisions, stream));
  QW_ASSIGN(const Seq kept, store_.scan_tail(store::Log::kDecisions, stream, Seq{}, Seq{}, {}));
  if (next(low) < kept) return relearn(version, stream, next(low), last);
  std::optional<Error> trouble;
  QW_TRY(store_.scan(store::Log::kDecisions, stream, next(low), next(last),
                     [&](Seq seq, std::string_view record) {
                       ++tail_read_;
                       const auto key = schema::decision_key(record);
                       if (!key.ok()) {
                         trouble = key.error();
                         return false;
                       }
                       table.add_pending(*key, seq);
                       return true;
                     }));
  if (trouble) return *trouble;
  return table.finish_recovery(clock_.monotonic_ns() / 1000);
}

// A version whose states are not on disk, when the beginning of the log is in segments.
Result<void> ModelSlot::relearn(LearningVersion& version, PartitionId stream, Seq from, Seq last) {
  log::info("recovery", "{} learns from the log", version.owner());
  Progress progress(fmt::format("{} learns", version.owner()), next(last).value() - from.value());
  const auto learn = [&](Seq seq, std::string_view bytes) -> Result<void> {
    progress.add();
    QW_ASSIGN(const schema::DecisionRecord record, schema::decode_decision(bytes));
    QW_ASSIGN(const auto observation, version.observation_in(record));
    if (!observation) return {};
    QW_TRY(version.score(stream, record.key, seq, clock_.monotonic_ns() / 1000, *observation));
    return {};
  };
  QW_ASSIGN(const size_t read, checkpointer_.rebuild({version.tables().at(stream)},
                                                     store::Log::kDecisions, from, last, learn));
  tail_read_ += read;
  return {};
}

Result<std::optional<models::Score>> ModelSlot::score(PartitionId stream,
                                                      const schema::DecisionRecord& record) {
  const int64_t now_us = clock_.monotonic_ns() / 1000;
  QW_ASSIGN(const auto answer, champion_->answer(stream, record, now_us));
  if (!answer) return answer;
  if (challenger_ && challenger_->learning() != nullptr)
    QW_TRY(challenger_->answer(stream, record, now_us));
  if (tap_ != nullptr) {
    tap_->full = tap_->full || tap_->decisions.size() >= DecisionTap::kMost;
    if (!tap_->full)
      tap_->decisions.push_back({stream, record.key, record.event_seq, observation_of(record)});
  }
  return answer;
}

void ModelSlot::serve(std::unique_ptr<ServedVersion> version) {
  champion_ = std::move(version);
  served_by_ = fmt::format("{}@{}", options_.model, champion_->version());
}

Result<void> ModelSlot::install_champion(std::unique_ptr<ServedVersion> version) {
  if (LearningVersion* const learning = version->learning()) QW_TRY(take_up(*learning));
  serve(std::move(version));
  return {};
}

Result<void> ModelSlot::take_up(LearningVersion& version) {
  store::Txn txn;
  QW_ASSIGN(const bool anew, stage_definition(version, txn));
  // What was measured of other scores says nothing of these.
  if (anew) txn.erase_meta(store::meta::drift(options_.decision));
  if (anew)
    log::warning("recovery",
                 "{}: the model is defined in another way than what its states were made by; they "
                 "are learned anew from the log of decisions",
                 version.owner());
  if (!txn.empty()) QW_TRY(store_.commit(txn, store::Durability::kProcess));
  for (const auto& [stream, last] : streams_) {
    QW_TRY(open_stream_of(version, stream));
    watch(version, stream);
  }
  return {};
}

void ModelSlot::install_challenger(std::unique_ptr<ServedVersion> version) {
  challenger_ = std::move(version);
  LearningVersion* const learning = challenger_->learning();
  if (learning == nullptr) return;
  for (const auto& [stream, table] : learning->tables()) watch(*learning, stream);
}

std::unique_ptr<ServedVersion> ModelSlot::swap_challenger() {
  QW_ASSERT(challenger_ != nullptr);
  std::unique_ptr<ServedVersion> before = std::move(champion_);
  if (before) checkpointer_.remove(before->owner());
  serve(std::move(challenger_));
  return before;
}

Result<bool> ModelSlot::stage_definition(const LearningVersion& version, store::Txn& txn) const {
  QW_ASSIGN(const StatesAre states, states_of(store_, version));
  if (states == StatesAre::kAnothers) {
    QW_ASSIGN(const auto low_waters, store::stored_low_waters(store_, version.owner()));
    txn.erase_owner(version.owner());
    for (const auto& [stream, low] : low_waters)
      txn.erase_meta(store::meta::low_water(version.owner(), stream));
  }
  QW_ASSIGN(const auto stored, store_.get_meta(store::meta::definition(version.owner())));
  if (stored != definition_of(version))
    txn.put_meta(store::meta::definition(version.owner()), definition_of(version));
  return states == StatesAre::kAnothers;
}

Result<void> ModelSlot::checkpoint(LearningVersion& version,
                                   const std::map<PartitionId, Seq>& heads) {
  for (const auto& [stream, table] : version.tables())
    QW_TRY(checkpointer_.write_table(table, heads.at(stream)));
  return {};
}

void ModelSlot::erase(const ServedVersion& version) {
  const LearningVersion* const learning = version.learning();
  if (learning == nullptr) return;
  store::Txn& txn = lane_.open().txn;
  txn.erase_owner(version.owner());
  txn.erase_meta(store::meta::definition(version.owner()));
  for (const auto& [stream, table] : learning->tables())
    txn.erase_meta(store::meta::low_water(version.owner(), stream));
}

}  // namespace qw::serve
