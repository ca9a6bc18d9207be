// The executors that parity compares. Each computes view features from the events, and derived
// features from the given inputs (inputs_of).
#pragma once

#include "features/dialects/duckdb/sql.h"
#include "features/parity/scenario.h"

namespace qw::features {

// KeyStates fed in the order of arrival; derived features from its own view features.
Answers answer_by_stream(const Scenario& scenario);

// Generated SQL on an embedded DuckDB. With bounds.
Result<Answers> answer_by_duckdb(const Scenario& scenario, const schema::Batch& inputs,
                                 const duckdb::Limits& limits);

// The naive quadratic oracle: scans all events for each read, shares no kernel and no expression
// evaluator with the others. With bounds. Only the reads whose index is in `sample` are answered,
// the others are null. kUnsupported when an expression uses what the oracle does not know.
Result<Answers> answer_by_oracle(const Scenario& scenario, const schema::Batch& inputs,
                                 const std::vector<size_t>& sample);

}  // namespace qw::features
