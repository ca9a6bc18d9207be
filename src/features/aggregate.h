// One aggregate as written (`p95: quantile(amount, 0.95)`), checked against its source.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "features/expression/expression.h"

namespace qw::features {

class AggregateKernel;
class AggregateTable;
// Every aggregate of this program (kernels/builtin.cpp).
const AggregateTable& builtin_aggregates();

// How equal two executors must be (docs/reference/semantics.md).
enum class ParityClass : uint8_t { kExact, kFloat, kSketch };
std::string_view name_of(ParityClass parity);

// A checked aggregate. A value; its expression is shared and immutable.
struct Aggregate {
  std::string name;
  const AggregateKernel* kernel = nullptr;  // what it is, and how it is computed
  std::optional<Expression> argument;       // nothing for count() and rate()
  size_t argument_slot = 0;                 // which of the view's kept values it reads
  double setting = 0;                       // the second argument, of those that have one
  int64_t k = 0;                            // above 0: so many features, the newest value first
  int64_t max_age_us = 0;                   // of first and last: 0 is none
  schema::Type type;                        // of the result
  ParityClass parity = ParityClass::kExact;
};

// As people call what it computes: "sum", "p95".
std::string label_of(const Aggregate& aggregate);

// kBadInput with "column N" in the text as place: unknown function (with the nearest and all that
// there are), wrong argument type, a quantile outside 0 to 1, an unknown column.
Result<Aggregate> compile_aggregate(std::string_view name, std::string_view text,
                                    const schema::Schema& source,
                                    const AggregateTable& table = builtin_aggregates());

}  // namespace qw::features
