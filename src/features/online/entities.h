// An entity is one, in however many partitions of its source its events come.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "features/online/feature_partition.h"
#include "features/online/key_filter.h"
#include "features/stream/key_join.h"
#include "features/stream/key_state.h"
#include "store/keyed_state.h"

namespace qw::features {

// The entities of one view of one source. Each partition keeps what came in it, as it must to be
// brought back or handed over by itself; of an entity that came in several there is one more state
// here, made of theirs when it is read and kept as long as memory allows. What a key's read costs
// is then what it costs in one partition. docs/adr/0011-entities.md says what else was measured.
//
// Any thread. What apply() and the tables do to a state is told to followed() by the same thread.
class Entities {
 public:
  Entities(ViewPtr view, size_t index, std::shared_ptr<store::MemoryBudget> memory);
  ~Entities();

  // A further partition, which lives as long as this. With a second one the keys of all are read
  // from disk once. kIo, kCorrupt; remove() it then.
  Result<void> add(const FeaturePartition& partition);
  void remove(const FeaturePartition& partition);

  // The event was applied to the partition's own state of the key, which was `is_new` before, said
  // `applied` and has missing() now.
  void followed(const FeaturePartition& partition, std::string_view key, const schema::Batch& rows,
                size_t row, const schema::EventFacts& facts, bool is_new, Applied applied,
                EventTime own_missing);

  // Looks at the state of the entity, and at the point as it lies there. False: `own` alone has
  // events of the key, or nobody has: that is to be looked at. `holders`: who has events of it.
  // Errors are those of reading a state.
  using Look = std::function<void(const KeyState&, const ReadPoint&)>;
  using Holders = std::vector<const FeaturePartition*>;
  Result<bool> read(const FeaturePartition& own, std::string_view key, ReadPoint point,
                    const Look& look, Holders& holders);
  // The same for whoever is no event of this source: sees all up to the time. False: nobody has
  // events of the key.
  Result<bool> read(std::string_view key, ReadPoint point, const Look& look, Holders& holders);

  // Entities that are kept here at this moment.
  size_t kept() const;

 private:
  struct Part {
    const FeaturePartition* partition;
    KeyFilter keys;
  };
  struct Joined {
    explicit Joined(KeyState rows) : state(std::move(rows)) {}
    KeyState state;
    std::vector<size_t> parts;  // by rank, those that have events of it
    size_t bytes = 0;
    std::list<std::string_view>::iterator recent;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Map = std::unordered_map<std::string, Joined, TextHash, std::equal_to<>>;

  size_t rank_of(const FeaturePartition& partition) const;
  // The partition's first event of the key, as far as is remembered: a key that is noted twice is
  // looked for where it need not be, one that is not noted is not found.
  void note(Part& part, std::string_view key);
  // Ranks of those that may have events of the key.
  std::vector<size_t> candidates(std::string_view key) const;
  // Of those that have events of the key, whose ranks are `parts` then.
  Result<KeyState> join(std::string_view key, std::vector<size_t>& parts) const;
  Map::iterator keep(std::string_view key, KeyState state, std::vector<size_t> parts);
  // Where one partition alone has it.
  Result<bool> read_one(size_t rank, std::string_view key, ReadPoint point, const Look& look,
                        Holders& holders) const;
  Result<void> look_at(Map::iterator at, ReadPoint point, const Look& look, Holders& holders);
  void account(Map::iterator at);
  void forget(Map::iterator at);
  EventTime earliest(EventTime at) const;
  EventTime lost(const std::vector<size_t>& parts) const;

  const ViewPtr view_;
  const size_t index_;  // of the view in its source
  mutable std::mutex mutex_;
  std::vector<Part> parts_;  // by number: the place is the rank
  // Keys that some partition has, and those that more than one may have: where there are very many
  // partitions, most keys are in one, and need not be looked for in all.
  KeyFilter anywhere_, in_several_;
  ViewWorker worker_;
  Map joined_;
  std::list<std::string_view> recent_;  // most recently used first
  store::MemoryShare memory_;
  std::atomic<bool> several_{false};  // partitions
};

}  // namespace qw::features
