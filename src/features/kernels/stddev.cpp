// stddev(x): the root of the variance.
#include "features/kernels/spread.h"

namespace qw::features {
namespace {

class Stddev final : public SpreadKernel {
 public:
  std::string_view name() const override { return "stddev"; }
  AggregateRules rules() const override { return {.form = "stddev(x)", .numbers_only = true}; }
  void answer(const Question& question) const override {
    each_spread(question, [&](size_t feature, const Spread& spread) {
      question.put_in_range(feature, spread.stddev);
    });
  }
  std::string duckdb(const SqlTerm& term) const override {
    return "qw_stddev(" + term.number + ")";
  }
  std::string duckdb_bound(const SqlTerm& term) const override {
    return "qw_stddev_bound(" + term.number + ")";
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    if (question.seen.size() < 2) return {};
    const Oracle spread = oracle_spread(question);
    const long double root = std::sqrt(spread.variance);
    bound = static_cast<double>(std::sqrt(spread.error));
    if (root > 0) bound = std::min(bound, static_cast<double>(spread.error / root));
    bound += static_cast<double>(4 * kOracleEps * root);
    return oracle_finite(root);
  }
};

}  // namespace

const AggregateKernel& stddev_kernel() {
  static const Stddev kernel;
  return kernel;
}

}  // namespace qw::features
