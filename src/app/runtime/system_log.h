// What happened to the program itself, for the journal: starts and stops, sources that fail, a full
// disk.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "store/commit/committer.h"
#include "store/commit/journal.h"
#include "store/store.h"
#include "streams/gate.h"
#include "streams/source.h"

namespace qw::app {

// How many of a source's events came later than allowed, over spans of up to a minute. A value.
class LateShare {
 public:
  // A reading about once a second, of counts that grow. True: more than 1% of at least 100 events
  // (of any number, when it is the last reading) were late, and it was not said already.
  bool look(const streams::GateCounts& counts, bool last);
  double share() const { return share_; }
  uint64_t late() const { return late_; }
  uint64_t judged() const { return judged_; }

 private:
  uint64_t begin_late_ = 0, begin_judged_ = 0;  // counts at the span's begin
  uint64_t late_ = 0, judged_ = 0;              // in the span
  int looks_ = 0;
  bool told_ = false;
  double share_ = 0;
};

// Writes journal records of the kind "system": {"phase", "title", "detail"}. started() before any
// other call, stopped() as the last; look() between them, from one thread. What happens while the
// disk takes nothing is written once it does, with the time at which it was seen.
class SystemLog {
 public:
  SystemLog(const Plan& plan, const store::Store& store, store::Lane& lane, store::Journal& journal)
      : plan_(plan), store_(store), lane_(lane), journal_(journal) {}

  // Says, too, whether the program had stopped by itself. `to_replay`: records behind the
  // checkpoints. `losses`: what this start goes on without, as it was told to.
  Result<void> started(uint64_t to_replay, const std::vector<store::Loss>& losses);
  // One reading; tells what is another than at the one before.
  void look(size_t source, const streams::SourceStatus& status);
  void look(const store::Committer::Status& status);
  // What a source's gate decided. Returns the share of late events lately. `last`: no more come.
  double look(size_t source, const streams::GateCounts& counts, bool last = false);
  // A limit that made something worse `bitten` times so far: told when that grows, and again after
  // a minute in which it did not.
  void look(const std::string& limit, uint64_t bitten, const std::string& title,
            const std::string& detail);
  // `why` empty: it was asked to. Nothing when it never started.
  void stopped(const std::string& why);

 private:
  void tell(const char* phase, const std::string& title, const std::string& detail);

  const Plan& plan_;
  const store::Store& store_;
  store::Lane& lane_;
  store::Journal& journal_;
  bool started_ = false;
  std::set<size_t> failed_;          // sources
  std::map<size_t, uint64_t> gaps_;  // of sources, that were told
  bool disk_full_ = false;
  std::map<size_t, LateShare> late_;  // by source
  struct Bite {
    uint64_t bitten = 0;
    int quiet_looks = 60;
  };
  std::map<std::string, Bite> bites_;  // by limit
};

}  // namespace qw::app
