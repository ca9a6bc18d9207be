#include "store/schemas.h"

#include <string>
#include <utility>

#include "store/commit/meta_names.h"

namespace qw::store {
namespace {

// The schema of that name, or null. `decode`: from bytes; `known`: what was read before.
template <class Schema, class Decode>
Result<std::shared_ptr<const Schema>> look_up(
    const Store& store, uint64_t id, const std::string& name, const Decode& decode,
    std::map<uint64_t, std::shared_ptr<const Schema>>& known) {
  if (const auto found = known.find(id); found != known.end()) return found->second;
  QW_ASSIGN(const auto bytes, store.get_meta(name));
  if (!bytes) return std::shared_ptr<const Schema>();
  QW_ASSIGN(Schema decoded, decode(*bytes));
  return known.emplace(id, std::make_shared<const Schema>(std::move(decoded))).first->second;
}

}  // namespace

uint64_t stage_schema(const schema::Schema& rows, Txn& txn) {
  std::string bytes;
  schema::encode_schema(rows, bytes);
  txn.put_meta(meta::row_schema(rows.fingerprint()), bytes);
  return rows.fingerprint();
}

uint64_t stage_schema(const schema::DecisionSchema& decision, Txn& txn) {
  std::string bytes;
  schema::encode_decision_schema(decision, bytes);
  txn.put_meta(meta::decision_schema(decision.id()), bytes);
  return decision.id();
}

Result<std::shared_ptr<const schema::Schema>> Schemas::rows(uint64_t id) {
  return look_up(store_, id, meta::row_schema(id), schema::decode_schema, rows_);
}

Result<std::shared_ptr<const schema::DecisionSchema>> Schemas::decision(uint64_t id) {
  return look_up(store_, id, meta::decision_schema(id), schema::decode_decision_schema, decisions_);
}

}  // namespace qw::store
