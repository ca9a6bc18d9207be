// rate() and rate(x): the count per second of the window's length.
#include <fmt/format.h>

#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

class Rate final : public AggregateKernel {
 public:
  std::string_view name() const override { return "rate"; }
  AggregateRules rules() const override { return {.form = "rate() or rate(x)", .bare = true}; }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kDouble;
    aggregate.parity = ParityClass::kFloat;
  }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked) {
      const uint32_t count = question.count(asked.window);
      if (count == 0) continue;
      const auto length_us = static_cast<double>(question.windows[asked.window].length_us);
      question.cells[asked.feature] = Cell::of_double(static_cast<double>(count) * 1e6 / length_us);
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    return fmt::format("nullif(count({}), 0)::double * 1e6 / {}e0", term.x, term.window_us);
  }
  std::string duckdb_bound(const SqlTerm& term) const override {
    return "8 * qw_eps() * " + duckdb(term);
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    const long double seconds = question.window_us / 1e6L;
    const long double rate = static_cast<long double>(question.seen.size()) / seconds;
    bound = static_cast<double>(8 * kOracleEps * rate);
    return oracle_finite(rate);
  }
};

}  // namespace

const AggregateKernel& rate_kernel() {
  static const Rate kernel;
  return kernel;
}

}  // namespace qw::features
