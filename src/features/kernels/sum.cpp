// sum(x): integers and decimals in 128 bits, doubles with compensation.
#include "features/kernels/kernel.h"
#include "features/kernels/kernels.h"
#include "features/kernels/sums.h"

namespace qw::features {
namespace {

using schema::Kind;

class Sum final : public AggregateKernel {
 public:
  std::string_view name() const override { return "sum"; }
  AggregateRules rules() const override { return {.form = "sum(x)", .numbers_only = true}; }
  void decide(const schema::Type& argument, Aggregate& aggregate) const override {
    aggregate.type = argument.kind == Kind::kDecimal
                         ? schema::Type{Kind::kDecimal, 18, argument.scale}
                         : schema::Type{argument.kind};
    if (argument.kind == Kind::kDouble) aggregate.parity = ParityClass::kFloat;
  }
  const SummaryKind* summary(const schema::Type& type) const override { return sum_kind(type); }
  void answer(const Question& question) const override {
    const Kind kind = question.reading.type.kind;
    for (const auto& [feature, window, nth] : question.asked) {
      if (question.count(window) == 0) continue;
      if (kind == Kind::kDouble) {
        const double sum = question.summary<DoubleSum>(window).total();
        question.put_in_range(
            feature,
            std::isfinite(sum) ? sum : sum_compensated(doubles_of(question.rows->words(window))));
        continue;
      }
      const Int128 sum = question.summary<WholeSum>(window).sum;
      question.cells[feature] =
          kind == Kind::kDecimal ? narrow_decimal(sum, kPowerOfTen[18]) : narrow(sum);
      if (question.cells[feature].null) question.statuses[feature] = FeatureStatus::kOverflow;
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    if (term.aggregate.argument->type().kind == Kind::kDouble) return "qw_sum(" + term.x + ")";
    return "try_cast(sum(" + term.x + ") as " + term.type + ")";
  }
  std::string duckdb_bound(const SqlTerm& term) const override {
    return "sum(8 * qw_eps() * abs(" + term.number + "))";
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    const OracleValue& first = question.seen.front().x;
    if (first.kind == OracleValue::Kind::kDouble) {
      const OracleNumbers n(question.seen);
      bound = static_cast<double>(8 * kOracleEps * n.size);
      return oracle_finite(n.sum);
    }
    __int128 sum = 0;
    for (const Seen& s : question.seen) sum += s.x.i;
    const bool decimal = first.kind == OracleValue::Kind::kDecimal;
    const __int128 limit =
        decimal ? __int128{999'999'999'999'999'999} : __int128{std::numeric_limits<int64_t>::max()};
    if (sum > limit || sum < -limit - (decimal ? 0 : 1)) return {};
    return {first.kind, sum, first.scale};
  }
};

}  // namespace

const AggregateKernel& sum_kernel() {
  static const Sum kernel;
  return kernel;
}

}  // namespace qw::features
