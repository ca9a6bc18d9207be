// count() and count(x): events, or those whose x is not null.
#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

class Count final : public AggregateKernel {
 public:
  std::string_view name() const override { return "count"; }
  AggregateRules rules() const override { return {.form = "count() or count(x)", .bare = true}; }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kInt64;
  }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked)
      question.cells[asked.feature] = Cell::of_int(question.count(asked.window));
  }
  std::string duckdb(const SqlTerm& term) const override { return "count(" + term.x + ")"; }
  bool counts_nothing() const override { return true; }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    return {OracleValue::Kind::kInt, static_cast<__int128>(question.seen.size())};
  }
};

}  // namespace

const AggregateKernel& count_kernel() {
  static const Count kernel;
  return kernel;
}

}  // namespace qw::features
