// One aggregate as written (`p95: quantile(amount, 0.95)`), checked against its source.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "features/expression/expression.h"

namespace qw::features {

enum class AggregateKind : uint8_t {
  kCount,
  kCountDistinct,
  kSum,
  kMean,
  kMin,
  kMax,
  kVariance,
  kStddev,
  kFirst,
  kLast,
  kLastK,
  kQuantile,
  kRate,
};
std::string_view name_of(AggregateKind kind);

// How equal two executors must be (docs/reference/semantics.md).
enum class ParityClass : uint8_t { kExact, kFloat, kSketch };
std::string_view name_of(ParityClass parity);

// A checked aggregate. A value; its expression is shared and immutable.
struct Aggregate {
  std::string name;
  AggregateKind kind = AggregateKind::kCount;
  std::optional<Expression> argument;  // nothing for count() and rate()
  size_t argument_slot = 0;            // which of the view's kept values it reads
  double quantile = 0;                 // kQuantile: 0..1
  int64_t k = 0;                       // kLastK: how many, newest first
  int64_t max_age_us = 0;              // kFirst, kLast: 0 is none
  schema::Type type;                   // of the result
  ParityClass parity = ParityClass::kExact;
};

// kBadInput with "column N" in the text as place: unknown function (with the nearest), wrong
// argument type, a quantile outside 0 to 1, an unknown column.
Result<Aggregate> compile_aggregate(std::string_view name, std::string_view text,
                                    const schema::Schema& source);

}  // namespace qw::features
