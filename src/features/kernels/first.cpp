// first(x): the oldest value that is not null.
#include "features/kernels/edges.h"

namespace qw::features {
namespace {

class First final : public EdgeKernel {
 public:
  First() : EdgeKernel(false) {}
  std::string_view name() const override { return "first"; }
  AggregateRules rules() const override {
    return {.form = "first(x) [max_age 1h]", .max_age = true};
  }
};

}  // namespace

const AggregateKernel& first_kernel() {
  static const First kernel;
  return kernel;
}

}  // namespace qw::features
