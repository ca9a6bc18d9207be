// The words that a severity expression can say.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "features/expression/typed.h"

namespace qw::app {

// A text in a severity expression that is none of 'info', 'warning', 'critical'. A value.
struct WrongSeverity {
  std::string word;
  size_t offset = 0;  // in the expression, bytes
};

// Every text that the expression may answer with and that is no severity, as far as it is written
// out: what comes from a column is only known when it runs.
std::vector<WrongSeverity> wrong_severities(const features::Typed& expression);

}  // namespace qw::app
