// What a model would have been given for a decision that is in a log, found by name.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/engine.h"
#include "schema/records.h"
#include "schema/stored_schema.h"
#include "store/schemas.h"

namespace qw::serve {

// What a learning model reads of the decisions of one name. A value.
struct InputDefinition {
  std::vector<schema::Field> key;        // whose values a series is
  std::optional<schema::Field> input{};  // nothing: the model reads no number
  friend bool operator==(const InputDefinition&, const InputDefinition&) = default;
};

// Decisions were made under the application files of their days. One that was made by other keys,
// or whose record does not hold the input, has nothing to teach. Any thread; the store outlives it.
class StoredInput {
 public:
  StoredInput(const store::Store& store, InputDefinition wanted)
      : wanted_(std::move(wanted)), schemas_(store) {}

  const InputDefinition& definition() const { return wanted_; }
  // Nothing: see above. Of a record without a schema (format version 1) the first input is taken
  // for ours when it is a number.
  Result<std::optional<models::Observation>> of(const schema::DecisionRecord& record) const;

 private:
  // Where the input lies in the records of one schema, and by what power of ten it is finer.
  struct Place {
    bool known = false;
    bool in_features = false;
    size_t index = 0;
    int finer = 0;
  };
  Result<Place> place_in(uint64_t schema_id) const;

  const InputDefinition wanted_;
  mutable std::mutex mutex_;
  mutable store::Schemas schemas_;
  mutable std::map<uint64_t, Place> places_;
};

}  // namespace qw::serve
