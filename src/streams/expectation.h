// Data-quality rules on one column, judged as events come in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/result.h"
#include "schema/batch.h"

namespace re2 {
class RE2;
}

namespace qw::streams {

enum class OnFail : uint8_t { kWarn, kQuarantine, kDrop, kNull };
Result<OnFail> parse_on_fail(std::string_view text);  // "warn", "quarantine", "drop", "null"

// A rule: a number within bounds. A value.
struct Between {
  std::optional<double> low, high;  // inclusive; absent: open
};
// A rule: there is a value.
struct NotNull {};
// A rule: one of these. A value.
struct InSet {
  std::vector<std::string> values;  // texts; numbers as the data writes them ("12", "0.5", "true")
};
// A rule: a text of this form. A value.
struct Matches {
  std::string pattern;  // RE2 syntax (linear time), the whole text must match
};

// A rule as the application file writes it, not bound to a column yet. A value.
struct Expectation {
  std::string column;
  std::variant<Between, NotNull, InSet, Matches> rule;
  OnFail on_fail = OnFail::kWarn;
};

// A rule bound to its column. A null cell passes every rule but not_null.
class CompiledExpectation {
 public:
  // kBadInput: unknown column, a rule that does not fit the type, a pattern RE2 refuses.
  static Result<CompiledExpectation> make(const Expectation& expectation,
                                          const schema::Schema& schema);
  bool holds(const schema::Column& column, size_t row) const;
  size_t column() const { return column_; }
  OnFail on_fail() const { return on_fail_; }
  // "amount = -3 is not between 0 and 100000"
  std::string complaint(const schema::Column& column, size_t row) const;

 private:
  size_t column_ = 0;
  std::string name_;
  OnFail on_fail_ = OnFail::kWarn;
  std::variant<Between, NotNull, InSet, Matches> rule_;
  std::unordered_set<std::string> texts_;
  std::unordered_set<int64_t> integers_;
  std::vector<double> doubles_;
  std::shared_ptr<const re2::RE2> pattern_;
};

// A cell as a person reads it: "12", "0.5", "2026-01-02T03:04:05.000000Z", "null".
std::string cell_text(const schema::Column& column, size_t row);
// A row as one JSON object in column order; for dead letters.
std::string row_json(const schema::Batch& batch, size_t row);

}  // namespace qw::streams
