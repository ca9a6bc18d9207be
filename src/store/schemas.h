// What stored records are called: the schemas of a data folder, each there once under its id.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/result.h"
#include "schema/stored_schema.h"
#include "store/store.h"

namespace qw::store {

// Puts a schema into the transaction; to put it again changes nothing. It must be on disk no later
// than the first record that carries its id: in that record's commit or one before. Returns the id.
uint64_t stage_schema(const schema::Schema& rows, Txn& txn);
uint64_t stage_schema(const schema::DecisionSchema& decision, Txn& txn);

// Reads schemas by id, each once. Does not own the store; one thread at a time. Null: the folder
// holds none of that id (what was written before there were any).
class Schemas {
 public:
  explicit Schemas(const Store& store) : store_(store) {}
  Result<std::shared_ptr<const schema::Schema>> rows(uint64_t id);
  Result<std::shared_ptr<const schema::DecisionSchema>> decision(uint64_t id);

 private:
  const Store& store_;
  std::map<uint64_t, std::shared_ptr<const schema::Schema>> rows_;
  std::map<uint64_t, std::shared_ptr<const schema::DecisionSchema>> decisions_;
};

}  // namespace qw::store
