// Linear and logistic models: a weight for each feature by name.
#pragma once

#include "base/result.h"
#include "models/package.h"
#include "models/scoring_engine.h"

namespace qw::models::linear {

// Settings: {"link": "identity"} (the default) or {"link": "logistic"}. The artefact weights.json:
//   {"intercept": -1.5, "weights": {"amount": 0.02, ...}, "missing": {"amount": 31.5, ...}}
// with a weight for every input of the package, none of which is a string, and one output, a
// double: the intercept and each input times its weight, added in the order of the inputs; for the
// logistic link 1 / (1 + exp(-that)). `missing` says what a missing value counts as; an input that
// it does not name makes the row's score NaN. kBadInput names what is wrong.
Result<Engine> make(const Package& package);

}  // namespace qw::models::linear
