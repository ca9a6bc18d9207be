// quantile(x, q): with h = (n - 1) q, between the values ranked floor(h) and ceil(h).
#include <fmt/format.h>

#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

class Quantile final : public AggregateKernel {
 public:
  std::string_view name() const override { return "quantile"; }
  AggregateRules rules() const override {
    return {.form = "quantile(x, 0.95)", .numbers_only = true, .setting = true};
  }
  Result<void> check_setting(Aggregate& aggregate) const override {
    if (aggregate.setting >= 0 && aggregate.setting <= 1) return {};
    return Error{ErrorCode::kBadInput, "a quantile lies between 0 and 1", "",
                 "write 0.95 for the 95th percentile"};
  }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kDouble;
    aggregate.parity = ParityClass::kFloat;
  }
  std::string label(const Aggregate& aggregate) const override {
    return fmt::format("p{:g}", aggregate.setting * 100);
  }
  ValueIndex index() const override { return ValueIndex::kRanked; }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked)
      if (question.count(asked.window) > 0)
        question.cells[asked.feature] =
            Cell::of_double(question.rows->quantile(asked.window, question.aggregate.setting));
  }
  std::string duckdb(const SqlTerm& term) const override {
    return fmt::format("qw_quantile({}, {})", term.number, term.aggregate.setting);
  }
  OracleValue oracle(const OracleQuestion& question, double& bound) const override {
    const OracleNumbers n(question.seen);
    // Rounded, by definition.
    const double h = static_cast<double>(n.x.size() - 1) * question.aggregate.setting;
    const auto low = static_cast<size_t>(h);
    const long double a = n.x[low];
    const long double b = n.x[std::min(low + 1, n.x.size() - 1)];
    bound = static_cast<double>(8 * kOracleEps * n.most);
    return oracle_finite(a + (b - a) * (h - static_cast<long double>(low)));
  }
};

}  // namespace

const AggregateKernel& quantile_kernel() {
  static const Quantile kernel;
  return kernel;
}

}  // namespace qw::features
