// The least and the greatest value: shared by min and max.
#pragma once

#include <limits>

#include "features/kernels/kernel.h"

namespace qw::features {

// Of integers, decimals, times and bools. A value.
struct WholeExtremes {
  int64_t low = std::numeric_limits<int64_t>::max();
  int64_t high = std::numeric_limits<int64_t>::min();
  void add(std::span<const int64_t> words, const Reading&) {
    for (const int64_t word : words) {
      low = std::min(low, word);
      high = std::max(high, word);
    }
  }
  void merge(const WholeExtremes& other, const Reading&) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
};

// Of doubles, none of which is NaN. A value.
struct DoubleExtremes {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(std::span<const int64_t> words, const Reading&) {
    for (const int64_t word : words) {
      const auto value = std::bit_cast<double>(word);
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  void merge(const DoubleExtremes& other, const Reading&) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
};

// Numbers of texts, which are compared by bytes.
struct TextExtremes {
  int64_t low = -1;
  int64_t high = -1;
  void add(std::span<const int64_t> words, const Reading& reading) {
    for (const int64_t word : words) merge({word, word}, reading);
  }
  void merge(const TextExtremes& other, const Reading& reading) {
    if (other.low < 0) return;
    if (low < 0 || (other.low != low && reading.text(other.low) < reading.text(low)))
      low = other.low;
    if (high < 0 || (other.high != high && reading.text(high) < reading.text(other.high)))
      high = other.high;
  }
};

// What min and max are, but for their names. Constant, any thread.
class ExtremeKernel : public AggregateKernel {
 public:
  explicit ExtremeKernel(bool least) : least_(least) {}
  void decide(const schema::Type& argument, Aggregate& aggregate) const override {
    aggregate.type = argument;
  }
  const SummaryKind* summary(const schema::Type& type) const override {
    if (type.kind == schema::Kind::kDouble) return &SummaryOf<DoubleExtremes>::kind();
    if (type.kind == schema::Kind::kString) return &SummaryOf<TextExtremes>::kind();
    return &SummaryOf<WholeExtremes>::kind();
  }
  void answer(const Question& question) const override {
    switch (question.reading.type.kind) {
      case schema::Kind::kDouble:
        return put<DoubleExtremes>(question, [](double value) { return Cell::of_double(value); });
      case schema::Kind::kString:
        return put<TextExtremes>(
            question, [&](int64_t id) { return Cell::of_text(question.reading.text(id)); });
      default:
        return put<WholeExtremes>(question, [](int64_t value) { return Cell::of_int(value); });
    }
  }

 private:
  template <class S>
  void put(const Question& question, const auto& cell) const {
    for (const Asked& asked : question.asked) {
      if (question.count(asked.window) == 0) continue;
      const S& seen = question.summary<S>(asked.window);
      question.cells[asked.feature] = cell(least_ ? seen.low : seen.high);
    }
  }
  const bool least_;
};

}  // namespace qw::features
