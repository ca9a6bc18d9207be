#include "serve/served_version.h"

#include <fmt/format.h>

namespace qw::serve {

ServedVersion::ServedVersion(const ServingOptions& options, int64_t version)
    : version_(version),
      owner_(fmt::format("model/{}/{}@{}", options.decision, options.model, version)) {}

}  // namespace qw::serve
