// The schemas that stored records were written under. Each is stored once; records carry its id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/records.h"
#include "schema/type.h"

namespace qw::schema {

// What a decision's record lists, by name and in order: a record holds values alone. A value. Types
// are exact; whether a field is nullable is not part of it.
struct DecisionSchema {
  std::vector<Field> key;  // the source's columns that `key` is made of
  std::vector<Field> features;
  std::vector<Field> inputs;         // the model's
  std::vector<std::string> members;  // of the model, whose contributions are listed
  std::vector<Field> outputs;

  // Changes when a name, a type or the order changes; never 0.
  uint64_t id() const;
  // The record has as many values as this has names, each null or of the name's type. (Of an empty
  // `contributions` nothing is asked: a model may list none.)
  bool fits(const DecisionRecord& record) const;
  friend bool operator==(const DecisionSchema&, const DecisionSchema&) = default;
};

// Whether a column of this type may hold the value; null fits everywhere.
bool fits(const Value& value, const Type& type);

// As bytes, sealed. Decoding: kCorrupt for damaged bytes, kUnsupported for a newer version's.
void encode_schema(const Schema& schema, std::string& out);
Result<Schema> decode_schema(std::string_view record);
void encode_decision_schema(const DecisionSchema& schema, std::string& out);
Result<DecisionSchema> decode_decision_schema(std::string_view record);

}  // namespace qw::schema
