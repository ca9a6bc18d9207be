// Events, a definition and the moments it is read at: what executors are compared on.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "features/definition.h"
#include "features/stream/key_state.h"
#include "schema/records.h"

namespace qw::features {

// Up to which event of each partition something was known; of those not named nothing was. In
// order.
using KnownVector = std::vector<std::pair<PartitionId, Seq>>;

// One moment of one key, over all partitions. A read with known positions happens, on the stream,
// right after the last of them arrived; one without happens at the end.
struct Read {
  std::vector<schema::Value> key;
  PartitionId partition;  // of the event it is about
  ReadPoint point;
  std::optional<KnownVector> known{};
  std::optional<size_t> event{};  // the index of the event it is about: its columns feed `derived`

  bool about_event() const { return point.seq.value() != ReadPoint::kEverySeq; }
};

// What is known while events arrive, in the order of the partitions.
class Arrivals {
 public:
  void take(const schema::EventFacts& facts);
  const KnownVector& known() const { return known_; }

 private:
  KnownVector known_;
};

// One definition, its events and its reads. Constant once it is built; the executors share it.
struct Scenario {
  std::string name;
  ViewPtr view;
  std::vector<Derived> derived;
  std::shared_ptr<const schema::Schema> inputs;  // of derived, without the derived ones
  // In the order of arrival. Partitions are ordered by PartitionId.
  schema::EventBatch events;
  std::vector<Read> reads;
  // Where DuckDB takes the same events from by itself: a query with the columns that
  // Engine::load_events makes. Empty: it is given `events`.
  std::string events_sql;
  // Further views of the same events that `derived` reads. They are not compared here: only what is
  // derived from them, on equal inputs.
  std::vector<ViewPtr> also;
};

// Compiles a scenario without events and reads.
Result<Scenario> make_scenario(const ViewDefinition& view,
                               const std::vector<DeriveDefinition>& derived,
                               std::shared_ptr<const schema::Schema> source,
                               int64_t allowed_lateness_us,
                               const std::vector<ViewDefinition>& also = {});

// What one executor says: a row for each read.
struct Answers {
  schema::Batch features;  // View::output()
  // [read * features + feature]; how far a float feature may be off; empty where not computed.
  std::vector<double> bounds;
  std::vector<FeatureStatus> statuses;  // the same layout; only the stream executor fills it
  // Of each further view, for the events that the reads are about; the stream executor's alone.
  std::vector<schema::Batch> also;
  // The derived features, one column each, computed from the features that the caller gave.
  schema::Batch derived;

  explicit Answers(const Scenario& scenario);
};

// The columns that derived features read, one row for each read: the event's own, then the features
// of the view and of the further ones.
schema::Batch inputs_of(const Scenario& scenario, const Answers& stream);

}  // namespace qw::features
