// last(x): the newest value that is not null.
#include "features/kernels/edges.h"

namespace qw::features {
namespace {

class Last final : public EdgeKernel {
 public:
  Last() : EdgeKernel(true) {}
  std::string_view name() const override { return "last"; }
  AggregateRules rules() const override {
    return {.form = "last(x) [max_age 1h]", .max_age = true};
  }
};

}  // namespace

const AggregateKernel& last_kernel() {
  static const Last kernel;
  return kernel;
}

}  // namespace qw::features
