// max(x): the greatest value; texts by bytes.
#include "features/kernels/extremes.h"

namespace qw::features {
namespace {

class Max final : public ExtremeKernel {
 public:
  Max() : ExtremeKernel(false) {}
  std::string_view name() const override { return "max"; }
  AggregateRules rules() const override { return {.form = "max(x)"}; }
  std::string duckdb(const SqlTerm& term) const override { return "max(" + term.x + ")"; }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    return oracle_sorted(question.seen).back();
  }
};

}  // namespace

const AggregateKernel& max_kernel() {
  static const Max kernel;
  return kernel;
}

}  // namespace qw::features
