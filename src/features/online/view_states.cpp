#include "features/online/view_states.h"

#include <fmt/format.h>

#include <algorithm>

namespace qw::features {

ViewStateKind::ViewStateKind(const store::Store& store, ViewPtr view,
                             const std::shared_ptr<const schema::Schema>& source)
    : view_(std::move(view)), rows_(store, source, view_->columns()), worker_(view_) {}

std::unique_ptr<store::KeyedState> ViewStateKind::fresh(std::string_view) const {
  return std::make_unique<ViewState>(view_, KeyState(*view_));
}

Result<std::unique_ptr<store::KeyedState>> ViewStateKind::decode(std::string_view,
                                                                 std::string_view image) const {
  QW_ASSIGN(KeyState rows, KeyState::parse(*view_, image));
  return std::unique_ptr<store::KeyedState>(std::make_unique<ViewState>(view_, std::move(rows)));
}

Result<void> ViewStateKind::replay(store::KeyedState& state, std::string_view, Seq,
                                   std::string_view record) const {
  const std::lock_guard lock(replay_mutex_);
  QW_ASSIGN(const schema::EventBatch event, rows_.of(record));
  static_cast<ViewState&>(state).rows().apply(worker_, event.rows, 0, event.facts.front());
  return {};
}

Result<const schema::RowMapping*> StoredRows::mapping(uint64_t schema_id) {
  if (const auto found = mappings_.find(schema_id); found != mappings_.end())
    return found->second.get();
  std::shared_ptr<const schema::Schema> stored = source_;
  if (schema_id != source_->fingerprint()) {
    QW_ASSIGN(stored, schemas_.rows(schema_id));
  }
  if (stored == nullptr)
    return Error{ErrorCode::kUnsupported,
                 "events in the log were written under a schema of their source that this folder "
                 "does not know",
                 "event log",
                 "start once with the application file that wrote them, which stores their schema, "
                 "then with the changed one"};
  auto made = std::make_unique<const schema::RowMapping>(stored, source_);
  for (const size_t column : made->unreadable())
    if (std::ranges::find(read_, column) != read_.end()) return unusable(*made, column);
  return mappings_.emplace(schema_id, std::move(made)).first->second.get();
}

Error StoredRows::unusable(const schema::RowMapping& mapping, size_t column) const {
  const schema::Field& wanted = source_->field(column);
  const schema::Field& stored = mapping.stored().field(*mapping.stored().index_of(wanted.name));
  return {ErrorCode::kUnsupported,
          fmt::format("events in the log have '{}' as {}, which does not read as {}", wanted.name,
                      stored.type.to_string(), wanted.type.to_string()),
          "event log",
          fmt::format("keep '{0}' a {1}, or read the new values under a column of another name, or "
                      "use a fresh data folder",
                      wanted.name, stored.type.to_string())};
}

Result<void> StoredRows::check(uint64_t schema_id) {
  QW_TRY(mapping(schema_id));
  return {};
}

Result<schema::EventBatch> StoredRows::of(std::string_view record) {
  QW_ASSIGN(const schema::StoredEvent stored, schema::decode_event(record));
  QW_ASSIGN(const schema::RowMapping* const mapped, mapping(stored.schema_fingerprint));
  schema::EventBatch event{schema::Batch(source_), {stored.facts}};
  QW_TRY(mapped->read(stored.row_bytes, event.rows));
  return event;
}

}  // namespace qw::features
