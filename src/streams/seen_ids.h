// Which event ids a source has given within its dedup horizon, however many those are.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/commit/meta_names.h"

namespace qw::streams {

// What a part that keeps named values in the store's meta wants changed there. A value.
struct StoredChanges {
  std::vector<std::pair<std::string, std::string>> put;
  std::vector<std::string> erase;
  std::vector<std::string> erase_prefix;  // every value whose name begins so
};

// An id as 128 bits, so that two never meet by chance.
struct EventIdHash {
  uint64_t high = 0, low = 0;
  friend bool operator==(const EventIdHash&, const EventIdHash&) = default;
};

// Remembers ids with the time each came. The newest `memory_ids` are in memory and, as chunks of
// what one commit added, on disk. Older ones are rows of their own on disk and are looked up there,
// behind the store's Bloom filters; rows of half a horizon expire together. So the horizon holds at
// any rate; only what is beyond memory costs a look at the disk.
//
// Owned by its Gate, one thread at a time. take_changes() goes into the transaction that also holds
// the events.
class SeenIds {
 public:
  struct Options {
    std::string prefix;  // of the names of its values
    int64_t horizon_us = 0;
    size_t memory_ids = 0;
  };
  // The value of a name in the store, as committed.
  using Lookup = std::function<Result<std::optional<std::string>>(std::string_view name)>;

  explicit SeenIds(Options options) : options_(std::move(options)) {}

  // Without one, every id stays in memory.
  void look_up_with(Lookup lookup) { lookup_ = std::move(lookup); }

  // Whether the id came at most a horizon before `at_us`.
  Result<bool> contains(const EventIdHash& id, int64_t at_us) const;
  void add(const EventIdHash& id, int64_t at_us);
  // Ids that came before this are forgotten.
  void forget_before(int64_t at_us);

  void take_changes(StoredChanges& changes);
  // A value saved by take_changes(), by its name without the prefix; in the names' order. kCorrupt.
  Result<void> restore_value(std::string_view rest, std::string_view value);
  // Below these names (without the prefix) lies what restore_value() wants.
  static constexpr std::string_view kRestored[] = {store::meta::kGateChunk, store::meta::kGateRun};

  size_t in_memory() const { return ids_.size(); }
  uint64_t on_disk() const;
  // Slices looked at so far, over all calls: what bounds their cost, for tests.
  uint64_t slices_visited() const { return slices_visited_; }

 private:
  struct Hash {
    size_t operator()(const EventIdHash& id) const noexcept { return id.low; }
  };
  struct Remembered {
    int64_t at_us = 0;
    uint64_t slice = 0;
  };
  // Ids that came one after the other; they leave memory together.
  struct Slice {
    uint64_t number = 0;
    int64_t first_us = INT64_MAX;
    int64_t last_us = INT64_MIN;
    std::vector<std::pair<EventIdHash, int64_t>> ids;
    std::vector<uint64_t> chunks;
    size_t staged = 0;  // ids[0, staged) are in chunks
    std::string run;    // not empty: its ids are rows of this run, which then holds run_ids
    uint64_t run_ids = 0;
  };
  // Rows on disk that expire together.
  struct Run {
    std::string name, prefix;  // of its own value and of its rows
    int64_t first_us = INT64_MAX;
    int64_t last_us = INT64_MIN;
    uint64_t ids = 0;
  };

  Slice& open_slice(int64_t at_us);
  void append(Slice& slice, const EventIdHash& id, int64_t at_us);
  void drop_from_memory(Slice& slice);
  void sweep(int64_t before_us);
  void stage_chunks(StoredChanges& changes);
  void spill(StoredChanges& changes);
  void write_to_run(Slice& slice, StoredChanges& changes);
  Run& open_run(const Slice& slice);
  bool committed(const Slice& slice) const;
  void name_run(uint64_t number, Run& run) const;
  static bool read_run(std::string_view value, Run& run);
  Result<void> restore_chunk(uint64_t number, std::string_view body);

  Options options_;
  Lookup lookup_;
  std::unordered_map<EventIdHash, Remembered, Hash> ids_;
  std::deque<Slice> slices_;  // the oldest arrivals in front
  std::deque<Run> runs_;
  size_t spilled_ = 0;  // slices in front that wait until their rows are committed
  size_t spilled_ids_ = 0;
  int64_t forgotten_before_us_ = INT64_MIN;
  uint64_t next_slice_ = 1, next_chunk_ = 1, next_run_ = 1;
  std::vector<std::string> erase_, erase_prefix_;
  uint64_t slices_visited_ = 0;
};

}  // namespace qw::streams
