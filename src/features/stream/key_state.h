// The live state of one key of one view within one partition: its recent events, in event-time
// order.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "features/definition.h"
#include "features/kernels/kernel.h"
#include "schema/records.h"

namespace qw::features {

using schema::name_of;

// The moment a view is read at: everything up to (event_time, seq), as known at `known`.
struct ReadPoint {
  static constexpr uint64_t kEverySeq = std::numeric_limits<uint64_t>::max();
  EventTime event_time;
  // Of the event the decision is about; kEverySeq for a request that is about none. At the same
  // event_time, events with a higher seq are not seen.
  Seq seq{kEverySeq};
  // Events with a higher seq had not been seen yet; kEverySeq for all that is here.
  Seq known{kEverySeq};
  // Events up to this time may be lost to whoever keeps the states: windows that reach back to them
  // are incomplete.
  EventTime lost{std::numeric_limits<int64_t>::min()};
};

// The features of one view at one moment, in View::features() order. Texts point into the state
// they were read from, until that state changes.
struct FeatureRow {
  std::vector<Cell> cells;
  std::vector<FeatureStatus> statuses;
};

// A view as one thread uses it: the shared definition with working memory that is this view's
// alone. Make one per thread and view, keep it.
class ViewWorker {
 public:
  explicit ViewWorker(ViewPtr view);
  const View& view() const { return *view_; }

 private:
  friend class KeyState;
  // What the aggregates of one argument want to know of every window.
  struct Argument {
    Reading reading;
    std::vector<const SummaryKind*> kinds;            // the count is the first
    std::vector<std::unique_ptr<Summaries>> windows;  // of each kind, by window
    bool distinct = false;                            // ValueIndex of any of them
    bool ranked = false;
    size_t kind_of(const SummaryKind* kind) const;
  };
  struct Asks {
    std::vector<Asked> asked;
    const Summaries* windows = nullptr;  // in Argument
  };

  ViewPtr view_;
  std::vector<Evaluator> evaluators_;
  std::vector<Cell> values_;  // of the event at hand
  std::vector<Argument> arguments_;
  std::vector<Asks> asks_;  // by aggregate
  // Of the read at hand.
  SummariesOf<CountSummary> row_counts_;
  std::vector<uint32_t> begins_;  // by window
  std::vector<uint32_t> order_;   // windows, the last to begin first
  std::vector<Pieces::Step> steps_;
  std::vector<std::pair<uint32_t, uint32_t>> runs_;  // of rows that no block covers
  std::vector<uint32_t> runs_ends_;                  // by step
  std::vector<uint32_t> blocks_;
  std::vector<int64_t> words_;
  std::vector<int64_t> window_words_;
  std::vector<double> numbers_;
};

enum class Applied : uint8_t {
  kInserted,
  kIgnored,   // its status does not count, or it is too old: windows that reach it say so
  kRepeated,  // (event_time, seq) is here already
  kRejected,  // the key has max_rows events
};

// Rows of one key, ordered by (event_time, seq), whatever the order of arrival; only the values
// that the view's aggregates read. Bounded by the view's longest window plus lateness behind the
// kWitnesses-th newest event, so that a few events from a clock far ahead end nothing, and by
// max_rows. Owned by whoever owns the partition's state; not for concurrent use: reads move what is
// kept beside the rows to answer faster. The same view must be passed to every call.
class KeyState {
 public:
  static constexpr size_t kWitnesses = 5;

  explicit KeyState(const View& view);
  KeyState(KeyState&&) noexcept;
  KeyState& operator=(KeyState&&) noexcept;
  ~KeyState();

  Applied apply(ViewWorker& worker, const schema::Batch& rows, size_t row,
                const schema::EventFacts& facts);
  void read(ViewWorker& worker, const ReadPoint& point, FeatureRow& out) const;
  // As above, appended as one row of View::output().
  void read(ViewWorker& worker, const ReadPoint& point, schema::Batch& out) const;

  // Of a KeyJoin's state: what the event did to its partition's own state (`applied`), this one
  // repeats. `facts` have the KeyJoin's seq, `own_missing` is that state's missing() after it.
  void follow(ViewWorker& worker, const schema::Batch& rows, size_t row,
              const schema::EventFacts& facts, Applied applied, EventTime own_missing);

  size_t rows() const { return size_; }
  // No event was ever inserted.
  bool is_new() const { return max_seq_ == 0; }
  // Events up to this time may be missing: windows that begin no later are incomplete.
  EventTime missing() const { return EventTime{newest_pruned_}; }
  uint64_t rejected() const { return rejected_; }
  // The newest event that it knows of; the least time when there was none.
  EventTime newest() const;
  // Approximate memory.
  size_t bytes() const;

  // Bytes whose positions are stable: one more event changes the header and one slot (an event out
  // of order also the slots after it), so few 512-byte pages. The ring's growth moves everything.
  void serialize(const View& view, std::string& out) const;
  // kCorrupt for damaged bytes; kConflict when they were written for another definition.
  static Result<KeyState> parse(const View& view, std::string_view bytes);

 private:
  friend class KeyJoin;
  struct Texts;
  struct Working;
  class Reader;

  char* slot(size_t index) {
    return ring_.data() + ((head_ + index) & (capacity_ - 1)) * slot_bytes_;
  }
  const char* slot(size_t index) const {
    return ring_.data() + ((head_ + index) & (capacity_ - 1)) * slot_bytes_;
  }
  int64_t time_at(size_t index) const;
  uint64_t seq_at(size_t index) const;
  uint64_t nulls_at(size_t index) const;  // bit i: argument i is null
  int64_t word_at(size_t index, size_t argument) const;
  const Reading::Texts* texts() const;
  size_t lower_bound(int64_t event_time, uint64_t seq) const;
  bool holds(int64_t event_time, uint64_t seq) const;
  size_t lower_bound_near(size_t guess, int64_t event_time) const;
  void resize(uint32_t capacity);
  void make_room();
  void renumber_texts();
  void drop_oldest();
  int64_t latest_with(int64_t time) const;
  void prune(int64_t horizon);
  void refuse(int64_t time, uint64_t seq);
  void forget_refused(int64_t horizon);
  void insert(ViewWorker& worker, const schema::Batch& rows, size_t row,
              const schema::EventFacts& facts);
  bool recount_texts();
  void store(const View& view, char* at, const schema::EventFacts& facts,
             const std::vector<Cell>& values);

  uint32_t slot_bytes_ = 0;
  uint32_t capacity_ = 0;  // a power of two
  uint32_t head_ = 0;      // slot of the oldest event
  uint32_t size_ = 0;
  uint64_t max_seq_ = 0;
  int64_t newest_pruned_ = std::numeric_limits<int64_t>::min();
  // Where events were refused that a window may still reach, in order and apart; both ends are such
  // events. A few: close ones are drawn together.
  struct Refused {
    std::pair<int64_t, uint64_t> first;  // event time, seq
    std::pair<int64_t, uint64_t> last;
  };
  static constexpr size_t kRefusedMost = 16;
  void note_refused(Refused span);
  std::vector<Refused> refused_;
  uint64_t rejected_ = 0;
  std::string ring_;              // capacity_ slots: time, seq, null bits, one word per argument
  std::unique_ptr<Texts> texts_;  // only when an argument is text
  mutable std::unique_ptr<Working> working_;  // never stored: made from the rows where it pays
};

}  // namespace qw::features
