// variance(x) of a sample (n - 1); null below two values.
#include "features/kernels/spread.h"

namespace qw::features {
namespace {

class Variance final : public SpreadKernel {
 public:
  std::string_view name() const override { return "variance"; }
  AggregateRules rules() const override { return {.form = "variance(x)", .numbers_only = true}; }
  void answer(const Question& question) const override {
    each_spread(question, [&](size_t feature, const Spread& spread) {
      question.put_in_range(feature, spread.variance);
    });
  }
  std::string duckdb(const SqlTerm& term) const override {
    return "qw_variance(" + term.number + ")";
  }
  std::string duckdb_bound(const SqlTerm& term) const override {
    return "qw_variance_bound(" + term.number + ")";
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    if (question.seen.size() < 2) return {};
    const Oracle spread = oracle_spread(question);
    bound = static_cast<double>(spread.error);
    return oracle_finite(spread.variance);
  }
};

}  // namespace

const AggregateKernel& variance_kernel() {
  static const Variance kernel;
  return kernel;
}

}  // namespace qw::features
