#include "app/runtime/view_states.h"

namespace qw::app {

ViewStateKind::ViewStateKind(features::ViewPtr view, std::shared_ptr<const schema::Schema> source)
    : view_(std::move(view)), source_(std::move(source)) {}

std::unique_ptr<store::KeyedState> ViewStateKind::fresh(std::string_view) const {
  return std::make_unique<ViewState>(view_, features::KeyState(*view_));
}

Result<std::unique_ptr<store::KeyedState>> ViewStateKind::decode(std::string_view,
                                                                 std::string_view image) const {
  QW_ASSIGN(features::KeyState rows, features::KeyState::parse(*view_, image));
  return std::unique_ptr<store::KeyedState>(std::make_unique<ViewState>(view_, std::move(rows)));
}

Result<void> ViewStateKind::replay(store::KeyedState& state, std::string_view, Seq,
                                   std::string_view record) const {
  QW_ASSIGN(const schema::EventBatch event, stored_event_rows(record, source_));
  static_cast<ViewState&>(state).rows().apply(*view_, event.rows, 0, event.facts.front(), scratch_);
  return {};
}

Result<schema::EventBatch> stored_event_rows(std::string_view record,
                                             const std::shared_ptr<const schema::Schema>& source) {
  QW_ASSIGN(const schema::StoredEvent stored, schema::decode_event(record));
  if (stored.schema_fingerprint != source->fingerprint())
    return Error{ErrorCode::kUnsupported,
                 "an event in the log was written under another schema of its source", "event log",
                 "use a fresh data folder for the changed source"};
  schema::EventBatch event{schema::Batch(source), {stored.facts}};
  QW_TRY(schema::decode_row(stored.row_bytes, event.rows));
  return event;
}

}  // namespace qw::app
