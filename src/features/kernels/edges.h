// The oldest or newest value, as long as it is not too old: shared by first and last.
#pragma once

#include "features/kernels/kernel.h"

namespace qw::features {

// What first and last are, but for their names. Constant, any thread.
class EdgeKernel : public AggregateKernel {
 public:
  explicit EdgeKernel(bool newest) : newest_(newest) {}
  void decide(const schema::Type& argument, Aggregate& aggregate) const override {
    aggregate.type = argument;
  }
  void answer(const Question& question) const override {
    const int64_t most_us = question.aggregate.max_age_us;
    for (const Asked& asked : question.asked) {
      if (question.count(asked.window) == 0) continue;
      const auto row = newest_ ? question.rows->nth_newest(asked.window, 1)
                               : question.rows->nth_oldest(asked.window, 1);
      if (!row) continue;
      if (most_us != 0 && question.time_us - question.rows->time_us(*row) >= most_us)
        question.statuses[asked.feature] = FeatureStatus::kOutsideMaxAge;
      else
        question.cells[asked.feature] = question.rows->cell(*row);
    }
  }
  std::string duckdb(const SqlTerm& term) const override {
    const std::string there = " filter (where " + term.x + " is not null)";
    const std::string value =
        std::string(name()) + "(" + term.x + " order by e.event_time, e.partition, e.seq)" + there;
    const int64_t most_us = term.aggregate.max_age_us;
    if (most_us == 0) return value;
    return "case when s.event_time - " + std::string(newest_ ? "max" : "min") + "(e.event_time)" +
           there + " < " + std::to_string(most_us) + "\n         then " + value + " end";
  }
  OracleValue oracle(const OracleQuestion& question, double&) const override {
    const Seen& edge = newest_ ? question.seen.back() : question.seen.front();
    const int64_t most_us = question.aggregate.max_age_us;
    return most_us > 0 && question.time_us - edge.time >= most_us ? OracleValue{} : edge.x;
  }

 private:
  const bool newest_;
};

}  // namespace qw::features
