// What the values of decisions are called: those to be made, and those that a store holds.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/records.h"
#include "schema/stored_schema.h"
#include "store/schemas.h"

namespace qw::app {

enum class NamesFrom : uint8_t {
  kSchema,   // the record's own schema
  kPlan,     // an old record without one: the application file has as many, of the same types
  kNowhere,  // an old record that the file does not fit: unnamed_1, unnamed_2, ...
};

// The schema of a record that was read. A value; the schema has a name for each of its values.
struct RecordNames {
  std::shared_ptr<const schema::DecisionSchema> schema;
  NamesFrom from = NamesFrom::kSchema;
};

// Finds what the values of stored decisions are called. Does not own the store; one thread at a
// time.
class DecisionNames {
 public:
  explicit DecisionNames(const store::Store& store) : schemas_(store) {}
  // `planned`: what the application file says of the decision; null when it has none of that name.
  Result<RecordNames> of(const schema::DecisionRecord& record,
                         const schema::DecisionSchema* planned);

 private:
  store::Schemas schemas_;
};

}  // namespace qw::app
