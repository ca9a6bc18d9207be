// range(x), the greatest value less the least: an aggregate that only tests know.
#include <limits>

#include "features/kernels/kernel.h"

namespace qw::features {
namespace {

class Range final : public AggregateKernel {
 public:
  std::string_view name() const override { return "range"; }
  AggregateRules rules() const override { return {.form = "range(x)", .numbers_only = true}; }
  void decide(const schema::Type&, Aggregate& aggregate) const override {
    aggregate.type = schema::kDouble;
  }
  const SummaryKind* summary(const schema::Type&) const override {
    return &SummaryOf<NumberExtremes>::kind();
  }
  void answer(const Question& question) const override {
    for (const Asked& asked : question.asked) {
      if (question.count(asked.window) == 0) continue;
      const auto& seen = question.summary<NumberExtremes>(asked.window);
      question.put_in_range(asked.feature, seen.high - seen.low);
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    return "max(" + term.number + ") - min(" + term.number + ")";
  }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    const OracleNumbers numbers(question.seen);
    return oracle_finite(static_cast<double>(numbers.x.back()) -
                         static_cast<double>(numbers.x.front()));
  }

 private:
  struct NumberExtremes {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();
    void add(std::span<const int64_t> words, const Reading& reading) {
      for (const int64_t word : words) merge({reading.number(word), reading.number(word)}, reading);
    }
    void merge(const NumberExtremes& other, const Reading&) {
      low = std::min(low, other.low);
      high = std::max(high, other.high);
    }
  };
};

}  // namespace

const AggregateKernel& range_kernel() {
  static const Range kernel;
  return kernel;
}

}  // namespace qw::features
