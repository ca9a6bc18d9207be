// count_distinct(x): different values.
#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

class CountDistinct final : public AggregateKernel {
 public:
  std::string_view name() const override { return "count_distinct"; }
  AggregateRules rules() const override { return {.form = "count_distinct(x)"}; }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kInt64;
  }
  ValueIndex index() const override { return ValueIndex::kDistinct; }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked)
      question.cells[asked.feature] = Cell::of_int(
          question.count(asked.window) == 0 ? 0 : question.rows->distinct(asked.window));
  }
  std::string duckdb(const SqlTerm& term) const override {
    return "count(distinct " + term.x + ")";
  }
  bool counts_nothing() const override { return true; }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    std::vector<OracleValue> values = oracle_sorted(question.seen);
    values.erase(std::unique(values.begin(), values.end(), oracle_same), values.end());
    return {OracleValue::Kind::kInt, static_cast<__int128>(values.size())};
  }
};

}  // namespace

const AggregateKernel& count_distinct_kernel() {
  static const CountDistinct kernel;
  return kernel;
}

}  // namespace qw::features
