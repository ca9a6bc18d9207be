// Types, fields and schemas: what a column may hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::schema {

// timestamp: int64 microseconds UTC. decimal: unscaled int64, at most 18 digits.
enum class Kind : uint8_t { kBool = 1, kInt64, kDouble, kString, kTimestamp, kDecimal };

// A column's type. A value; precision and scale are zero for everything but decimals.
struct Type {
  Kind kind = Kind::kDouble;
  uint8_t precision = 0;  // decimal only: digits, 1..18
  uint8_t scale = 0;      // decimal only: digits after the point, 0..precision

  friend bool operator==(const Type&, const Type&) = default;
  // As the application file writes it: "double", "decimal(12,2)".
  std::string to_string() const;
  // True for int64, double and decimal.
  bool is_numeric() const;
  // True when values are stored as int64 (bool, int64, timestamp, decimal).
  bool is_integral() const { return kind != Kind::kDouble && kind != Kind::kString; }
};

constexpr Type kBool{Kind::kBool};
constexpr Type kInt64{Kind::kInt64};
constexpr Type kDouble{Kind::kDouble};
constexpr Type kString{Kind::kString};
constexpr Type kTimestamp{Kind::kTimestamp};

// kBadInput with the list of known types.
Result<Type> parse_type(std::string_view text);

// One column's name and type. A value.
struct Field {
  std::string name;
  Type type;
  bool nullable = true;
  friend bool operator==(const Field&, const Field&) = default;
};

// Named, typed columns in order. A value; names are unique.
class Schema {
 public:
  Schema() = default;
  explicit Schema(std::vector<Field> fields) : fields_(std::move(fields)) {}

  const std::vector<Field>& fields() const { return fields_; }
  size_t size() const { return fields_.size(); }
  const Field& field(size_t index) const { return fields_[index]; }
  std::optional<size_t> index_of(std::string_view name) const;
  // Changes when a name, type, or the order changes; stored with each record.
  uint64_t fingerprint() const;
  friend bool operator==(const Schema&, const Schema&) = default;

 private:
  std::vector<Field> fields_;
};

}  // namespace qw::schema
