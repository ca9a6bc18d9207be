// mean(x): the sum, divided by how many.
#include "features/kernels/kernel.h"
#include "features/kernels/kernels.h"
#include "features/kernels/sums.h"

namespace qw::features {
namespace {

class Mean final : public AggregateKernel {
 public:
  std::string_view name() const override { return "mean"; }
  AggregateRules rules() const override { return {.form = "mean(x)", .numbers_only = true}; }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kDouble;
    aggregate.parity = ParityClass::kFloat;
  }
  const SummaryKind* summary(const schema::Type& type) const override { return sum_kind(type); }
  void answer(const Question& question) const override {
    const schema::Type& type = question.reading.type;
    for (const auto& [feature, window, nth] : question.asked) {
      const auto count = static_cast<double>(question.count(window));
      if (count == 0) continue;
      if (type.kind != schema::Kind::kDouble) {
        question.cells[feature] =
            Cell::of_double(static_cast<double>(question.summary<WholeSum>(window).sum) / count /
                            static_cast<double>(kPowerOfTen[type.scale]));
        continue;
      }
      const double sum = question.summary<DoubleSum>(window).total();
      question.put_in_range(feature, std::isfinite(sum)
                                         ? sum / count
                                         : mean_of(doubles_of(question.rows->words(window))));
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    const bool is_double = term.aggregate.argument->type().kind == schema::Kind::kDouble;
    return (is_double ? "qw_mean(" : "avg(") + term.x + ")";
  }
  std::string duckdb_bound(const SqlTerm& term) const override {
    return "avg(8 * qw_eps() * abs(" + term.number + "))";
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    const OracleNumbers n(question.seen);
    const auto count = static_cast<long double>(n.x.size());
    bound = static_cast<double>(8 * kOracleEps * n.size / count);
    return oracle_finite(n.sum / count);
  }
};

}  // namespace

const AggregateKernel& mean_kernel() {
  static const Mean kernel;
  return kernel;
}

}  // namespace qw::features
