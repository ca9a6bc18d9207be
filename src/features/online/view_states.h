// The states of one view within one partition, kept as keyed state.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "features/stream/key_state.h"
#include "schema/row_mapping.h"
#include "store/keyed_state.h"
#include "store/schemas.h"

namespace qw::features {

// A KeyState in a KeyedTable.
class ViewState final : public store::KeyedState {
 public:
  ViewState(ViewPtr view, KeyState rows) : view_(std::move(view)), rows_(std::move(rows)) {}
  std::string_view image(std::string& scratch) const override {
    scratch.clear();
    rows_.serialize(*view_, scratch);
    return scratch;
  }
  size_t memory_bytes() const override { return rows_.bytes() + sizeof *this; }
  KeyState& rows() { return rows_; }
  const KeyState& rows() const { return rows_; }

 private:
  ViewPtr view_;
  KeyState rows_;
};

// Reads the events of a log as rows of the source as it is now, whatever schema of the source they
// were written under. `read` are the columns that somebody reads: where a stored event has one of
// them under another type that does not read as today's, it cannot be used; others are null then.
// One thread at a time; the store outlives it.
class StoredRows {
 public:
  StoredRows(const store::Store& store, std::shared_ptr<const schema::Schema> source,
             std::vector<size_t> read)
      : schemas_(store), source_(std::move(source)), read_(std::move(read)) {}
  // The event as a batch of one. kUnsupported: it cannot be used; kCorrupt: damaged.
  Result<schema::EventBatch> of(std::string_view record);
  // Whether events of that schema can be used: kUnsupported when not.
  Result<void> check(uint64_t schema_id);

 private:
  Result<const schema::RowMapping*> mapping(uint64_t schema_id);
  Error unusable(const schema::RowMapping& mapping, size_t column) const;

  store::Schemas schemas_;
  const std::shared_ptr<const schema::Schema> source_;
  const std::vector<size_t> read_;
  std::map<uint64_t, std::unique_ptr<const schema::RowMapping>> mappings_;
};

// Replays from the event log.
class ViewStateKind final : public store::KeyedStateKind {
 public:
  ViewStateKind(const store::Store& store, ViewPtr view,
                const std::shared_ptr<const schema::Schema>& source);
  std::unique_ptr<store::KeyedState> fresh(std::string_view key) const override;
  Result<std::unique_ptr<store::KeyedState>> decode(std::string_view key,
                                                    std::string_view image) const override;
  Result<void> replay(store::KeyedState& state, std::string_view key, Seq seq,
                      std::string_view record) const override;

 private:
  ViewPtr view_;
  // Several keys catch up at once; each takes its turn with what replaying works with.
  mutable std::mutex replay_mutex_;
  mutable StoredRows rows_;
  mutable ViewWorker worker_;
};

}  // namespace qw::features
