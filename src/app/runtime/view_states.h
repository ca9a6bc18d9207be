// The states of one view within one partition, kept as keyed state.
#pragma once

#include <memory>
#include <string>

#include "features/stream/key_state.h"
#include "store/keyed_state.h"

namespace qw::app {

// A KeyState in a KeyedTable.
class ViewState final : public store::KeyedState {
 public:
  ViewState(features::ViewPtr view, features::KeyState rows)
      : view_(std::move(view)), rows_(std::move(rows)) {}
  std::string_view image(std::string& scratch) const override {
    scratch.clear();
    rows_.serialize(*view_, scratch);
    return scratch;
  }
  size_t memory_bytes() const override { return rows_.bytes() + sizeof *this; }
  features::KeyState& rows() { return rows_; }
  const features::KeyState& rows() const { return rows_; }

 private:
  features::ViewPtr view_;
  features::KeyState rows_;
};

// Replays from the event log. Used under its table's lock.
class ViewStateKind final : public store::KeyedStateKind {
 public:
  ViewStateKind(features::ViewPtr view, std::shared_ptr<const schema::Schema> source);
  std::unique_ptr<store::KeyedState> fresh(std::string_view key) const override;
  Result<std::unique_ptr<store::KeyedState>> decode(std::string_view key,
                                                    std::string_view image) const override;
  Result<void> replay(store::KeyedState& state, std::string_view key, Seq seq,
                      std::string_view record) const override;

 private:
  features::ViewPtr view_;
  std::shared_ptr<const schema::Schema> source_;
  mutable features::ViewScratch scratch_;
};

// The event in a log record, as a batch of one. kUnsupported when it was written under another
// schema of the source.
Result<schema::EventBatch> stored_event_rows(std::string_view record,
                                             const std::shared_ptr<const schema::Schema>& source);

}  // namespace qw::app
