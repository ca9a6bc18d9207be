#include "store/schemas.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace qw::store {
namespace {

std::string rows_name(uint64_t id) { return fmt::format("schema/rows/{:016x}", id); }
std::string decision_name(uint64_t id) { return fmt::format("schema/decision/{:016x}", id); }

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
  txn.put_meta(rows_name(rows.fingerprint()), bytes);
  return rows.fingerprint();
}

uint64_t stage_schema(const schema::DecisionSchema& decision, Txn& txn) {
  std::string bytes;
  schema::encode_decision_schema(decision, bytes);
  txn.put_meta(decision_name(decision.id()), bytes);
  return decision.id();
}

Result<std::shared_ptr<const schema::Schema>> Schemas::rows(uint64_t id) {
  return look_up(store_, id, rows_name(id), schema::decode_schema, rows_);
}

Result<std::shared_ptr<const schema::DecisionSchema>> Schemas::decision(uint64_t id) {
  return look_up(store_, id, decision_name(id), schema::decode_decision_schema, decisions_);
}

}  // namespace qw::store
