// Measured parity: the same definitions on all executors, and how far apart they are.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "features/dialects/duckdb/sql.h"
#include "features/parity/compare.h"

namespace qw::features {

// What is compared, and how much of it. A value; the same options give the same events and reads.
struct ParityOptions {
  uint64_t seed = 1;
  size_t fixture_events = 5'000;
  size_t random_scenarios = 100;
  // The oracle is quadratic: it answers at most this many reads of a scenario, spread evenly.
  size_t oracle_reads = 300;
  // A folder with NAB's data files; empty leaves them out. At most `nab_files` of them.
  std::string nab_folder;
  size_t nab_files = 5;
  duckdb::Limits duckdb;
  // Called with what is done and what there is to do; may be empty.
  std::function<void(size_t done, size_t all, const std::string& what)> progress;
};

// One scenario on the stream executor, against DuckDB and against the oracle.
Result<void> compare_scenario(const Scenario& scenario, const ParityOptions& options,
                              ParityReport& report);

// The fixture, NAB and random scenarios. Random scenarios are summed up in one line per class and
// executor; the first that differs is shrunk and reported whole, with the seed that replays it.
// Not for concurrent use of one report. Errors: kIo for an unreadable folder.
Result<ParityReport> run_parity(const ParityOptions& options);

// A user's own definitions over a user's own events, for instance from the log. Every counting
// event is read as known when it arrived.
Result<Scenario> scenario_of_events(const ViewDefinition& view,
                                    const std::vector<DeriveDefinition>& derived,
                                    schema::EventBatch events, int64_t allowed_lateness_us,
                                    const std::vector<ViewDefinition>& also = {});

// The smallest scenario, by leaving out events and reads, that still differs.
Result<Scenario> shrink(const Scenario& scenario, const ParityOptions& options);

}  // namespace qw::features
