// Events and definitions made from a seed, for parity: the same seed gives the same data
// everywhere.
#pragma once

#include <cstdint>

#include "features/parity/scenario.h"

namespace qw::features {

// The fixture that CI always runs: all aggregates over several windows; out-of-order arrivals,
// duplicates, ties, nulls, NaN, dropped late events, two partitions, and a key whose small amounts
// a plain sum loses beside large ones that cancel. Every event is read as it arrives.
Result<Scenario> make_fixture(uint64_t seed, size_t events);

// A random small scenario: random definition (windows, aggregates, arguments, exclude_current,
// derived features) and stream (times on and beside window edges, ties, nulls, duplicates,
// disorder), read as known at each event and at the end.
Result<Scenario> make_random_scenario(uint64_t seed);

// Reads the scenario at one of its events, with what is `known`; not when the event does not count
// or has no key.
void read_at(Scenario& scenario, size_t event, const KnownVector& known);

// A user's own definitions over events made up for their source: few keys, values that make their
// aggregates differ where they can, times over twice the widest window, out-of-order arrivals
// within and beyond the lateness, duplicates, ties, nulls.
Result<Scenario> make_generated(const ViewDefinition& view,
                                const std::vector<DeriveDefinition>& derived,
                                std::shared_ptr<const schema::Schema> source,
                                const std::string& event_time, int64_t allowed_lateness_us,
                                uint64_t seed, size_t events,
                                const std::vector<ViewDefinition>& also = {});

// The same scenario without some of its events and reads, for shrinking; `keep_events` and
// `keep_reads` hold true for what stays.
Scenario reduced(const Scenario& scenario, const std::vector<bool>& keep_events,
                 const std::vector<bool>& keep_reads);

}  // namespace qw::features
