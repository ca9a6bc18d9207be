#include "features/kernels/builtin.h"

#include <algorithm>

namespace qw::features {

// One line for each file of this folder that has an aggregate.
#define QW_AGGREGATES(X) \
  X(count)               \
  X(count_distinct)      \
  X(sum)                 \
  X(mean)                \
  X(min)                 \
  X(max)                 \
  X(variance)            \
  X(stddev)              \
  X(first)               \
  X(last)                \
  X(last_k)              \
  X(quantile)            \
  X(rate)

#define QW_DECLARE(name) const AggregateKernel& name##_kernel();
#define QW_ADDRESS(name) &name##_kernel(),
QW_AGGREGATES(QW_DECLARE)

const AggregateTable& builtin_aggregates() {
  static const AggregateTable table({QW_AGGREGATES(QW_ADDRESS)});
  return table;
}

const AggregateKernel* AggregateTable::find(std::string_view name) const {
  const auto found = std::ranges::find(kernels_, name, &AggregateKernel::name);
  return found == kernels_.end() ? nullptr : *found;
}

std::vector<std::string> AggregateTable::names() const {
  std::vector<std::string> names;
  for (const AggregateKernel* kernel : kernels_) names.emplace_back(kernel->name());
  return names;
}

}  // namespace qw::features
