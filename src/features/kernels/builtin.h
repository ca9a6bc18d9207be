// The aggregates there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "features/kernels/kernel.h"

namespace qw::features {

// Aggregates by name. Constant once built; the kernels outlive it.
class AggregateTable {
 public:
  explicit AggregateTable(std::vector<const AggregateKernel*> kernels)
      : kernels_(std::move(kernels)) {}
  const AggregateKernel* find(std::string_view name) const;  // null: there is none
  std::vector<std::string> names() const;
  const std::vector<const AggregateKernel*>& kernels() const { return kernels_; }

 private:
  std::vector<const AggregateKernel*> kernels_;
};

}  // namespace qw::features
