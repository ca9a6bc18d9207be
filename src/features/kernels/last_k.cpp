// last_k(x, k): k features, the newest values that are not null.
#include <fmt/format.h>

#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

constexpr int64_t kLastKMost = 100;

class LastK final : public AggregateKernel {
 public:
  std::string_view name() const override { return "last_k"; }
  AggregateRules rules() const override { return {.form = "last_k(x, 3)", .setting = true}; }
  Result<void> check_setting(Aggregate& aggregate) const override {
    const double k = aggregate.setting;
    if (k != std::floor(k) || k < 1 || k > static_cast<double>(kLastKMost))
      return Error{ErrorCode::kBadInput, fmt::format("last_k keeps 1 to {} values", kLastKMost), "",
                   ""};
    aggregate.k = static_cast<int64_t>(k);
    return {};
  }
  void decide(const schema::Type& argument, Aggregate& aggregate) const override {
    aggregate.type = argument;
  }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked) {
      if (question.count(asked.window) < asked.nth) continue;
      const auto row = question.rows->nth_newest(asked.window, static_cast<size_t>(asked.nth));
      if (row) question.cells[asked.feature] = question.rows->cell(*row);
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    return fmt::format(
        "(list({0} order by e.event_time desc, e.partition desc, e.seq desc)"
        " filter (where {0} is not null))[{1}]",
        term.x, term.nth);
  }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    const auto nth = static_cast<size_t>(question.nth);
    if (nth > question.seen.size()) return {};
    const Seen& seen = question.seen[question.seen.size() - nth];
    return seen.x;
  }
};

}  // namespace

const AggregateKernel& last_k_kernel() {
  static const LastK kernel;
  return kernel;
}

}  // namespace qw::features
