// min(x): the least value; texts by bytes.
#include "features/kernels/extremes.h"

namespace qw::features {
namespace {

class Min final : public ExtremeKernel {
 public:
  Min() : ExtremeKernel(true) {}
  std::string_view name() const override { return "min"; }
  AggregateRules rules() const override { return {.form = "min(x)"}; }
  std::string duckdb(const SqlTerm& term) const override { return "min(" + term.x + ")"; }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    return oracle_sorted(question.seen).front();
  }
};

}  // namespace

const AggregateKernel& min_kernel() {
  static const Min kernel;
  return kernel;
}

}  // namespace qw::features
