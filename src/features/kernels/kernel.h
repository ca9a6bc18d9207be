// An aggregate: what it takes, how it answers, how it is written in SQL, and how a naive oracle
// computes it. Each is one file of this folder and one line in builtin.cpp.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "features/aggregate.h"
#include "features/duration.h"
#include "features/kernels/summary.h"
#include "features/parity/oracle_values.h"
#include "schema/records.h"

namespace qw::features {

using schema::FeatureStatus;

// One feature that a read computes. A value.
struct Asked {
  size_t feature = 0;
  size_t window = 0;
  int64_t nth = 0;  // Feature::nth
};

// The rows of one argument at a read, for what summaries do not hold. Rows without a value, or not
// known at the read, are not there. Lives for one read.
class ArgumentRows {
 public:
  virtual ~ArgumentRows() = default;
  // The n-th value from the window's beginning or end, 1 being the first met.
  virtual std::optional<size_t> nth_oldest(size_t window, size_t nth) const = 0;
  virtual std::optional<size_t> nth_newest(size_t window, size_t nth) const = 0;
  virtual int64_t time_us(size_t row) const = 0;
  virtual Cell cell(size_t row) const = 0;
  // Every value of the window in order, until the next call: takes as long as it is.
  virtual std::span<const int64_t> words(size_t window) = 0;
  // How many are different; their quantile, of numbers. At least one value. From the index, where
  // the kernel named it and the state has it; else from every value.
  virtual int64_t distinct(size_t window) = 0;
  virtual double quantile(size_t window, double q) = 0;
};

// What an aggregate is asked at one read, and where its answers go: cells are null and statuses
// present before. Lives for that call.
struct Question {
  const Aggregate& aggregate;
  std::span<const Asked> asked;
  std::span<const Window> windows;
  const SummariesOf<CountSummary>& counts;  // by window; of rows where there is no argument
  const Summaries* summaries;               // by window, of the kind that the kernel named
  Reading reading;
  int64_t time_us = 0;
  ArgumentRows* rows = nullptr;  // null without an argument
  std::span<Cell> cells;
  std::span<FeatureStatus> statuses;

  uint32_t count(size_t window) const { return counts.all[window].count; }
  template <class S>
  const S& summary(size_t window) const {
    return static_cast<const SummariesOf<S>&>(*summaries).all[window];
  }
  // A double, or null and `overflow` where it is beyond one.
  void put_in_range(size_t feature, double value) const {
    cells[feature] = Cell::of_double(value);
    if (cells[feature].null) statuses[feature] = FeatureStatus::kOverflow;
  }
};

// One aggregate over one window in DuckDB: e is the event, s the moment that is read at.
struct SqlTerm {
  const Aggregate& aggregate;
  std::string x;       // the argument; e.seq without one
  std::string number;  // as a double
  std::string type;    // of the result
  int64_t window_us = 0;
  int64_t nth = 0;
};

// The same for the oracle: the events inside, in order, nulls left out.
struct OracleQuestion {
  const Aggregate& aggregate;
  const std::vector<Seen>& seen;
  int64_t time_us = 0;
  int64_t window_us = 0;
  int64_t nth = 0;
};

// What an aggregate wants kept of all values, to answer ArgumentRows::distinct or quantile from.
enum class ValueIndex : uint8_t { kNone, kDistinct, kRanked };

// What may be written. A value.
struct AggregateRules {
  std::string_view form;      // "quantile(x, 0.95)"
  bool bare = false;          // may stand without an argument
  bool numbers_only = false;  // the argument is a number
  bool max_age = false;       // may be followed by max_age
  bool setting = false;       // has a second argument, a number
};

// Constant, any thread.
class AggregateKernel {
 public:
  virtual ~AggregateKernel() = default;
  virtual std::string_view name() const = 0;
  virtual AggregateRules rules() const = 0;
  // Sets type, parity and what else follows from the argument; nothing there: of int64.
  virtual void decide(const schema::Type& argument, Aggregate& aggregate) const = 0;
  // Takes aggregate.setting: kBadInput without a place where it does not fit.
  virtual Result<void> check_setting(Aggregate&) const { return {}; }
  // As people call it: "p95".
  virtual std::string label(const Aggregate&) const { return std::string(name()); }

  // What it wants of every window besides the count, or null.
  virtual const SummaryKind* summary(const schema::Type&) const { return nullptr; }
  virtual ValueIndex index() const { return ValueIndex::kNone; }
  virtual void answer(const Question& question) const = 0;

  virtual std::string duckdb(const SqlTerm& term) const = 0;
  // How far another executor may be off, for results of class float (docs/reference/semantics.md).
  virtual std::string duckdb_bound(const SqlTerm& term) const {
    return "8 * qw_eps() * max(abs(" + term.number + "))";
  }

  // By the definition, without any cleverness: shares nothing with answer(). At least one event is
  // seen, or the kernel says counts_nothing().
  virtual OracleValue oracle(const OracleQuestion& question, double& bound) const = 0;
  // Over nothing the answer is 0, not null.
  virtual bool counts_nothing() const { return false; }
};

}  // namespace qw::features
