// Measured parity of an application's own features: the stream executor that decides, against
// generated SQL on DuckDB and the naive oracle.
#pragma once

#include "app/runtime/plan.h"
#include "features/parity/parity.h"
#include "store/store.h"

namespace qw::app {

// How much is compared. A value.
struct AppParityOptions {
  features::ParityOptions compare;  // seed, oracle_reads and the limits of DuckDB
  // Made up for each view; of a history, the newest of each source.
  size_t events = 5'000;
  // A history is read at so many of its events, spread evenly.
  size_t history_reads = 1'000;
};

// Each view of the application over events made up for its source. A derived feature is compared
// with the first view that has all it names; `report.notes` names those of several views, which are
// not. Errors: as features::compare_scenario.
Result<void> parity_of_generated(const Plan& plan, const AppParityOptions& options,
                                 features::ParityReport& report);

// The same over what the application has remembered. The store must not be written meanwhile.
// kUnsupported when the log holds events of another schema.
Result<void> parity_of_history(const Plan& plan, const store::Store& store,
                               const AppParityOptions& options, features::ParityReport& report);

// The same over the newest segments of each source's events, which DuckDB reads by itself: the
// generated SQL over the Parquet files, without our decoder.
Result<void> parity_of_segments(const Plan& plan, const store::Store& store,
                                const AppParityOptions& options, features::ParityReport& report);

}  // namespace qw::app
