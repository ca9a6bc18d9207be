// What happened to the program itself, for the journal: starts and stops, sources that fail, a full
// disk.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>

#include "app/runtime/committer.h"
#include "app/runtime/journal.h"
#include "app/runtime/plan.h"
#include "base/result.h"
#include "store/store.h"
#include "streams/source.h"

namespace qw::app {

// Writes journal records of the kind "system": {"phase", "title", "detail"}. started() before any
// other call, stopped() as the last; look() between them, from one thread. What happens while the
// disk takes nothing is written once it does, with the time at which it was seen.
class SystemLog {
 public:
  SystemLog(const Plan& plan, const store::Store& store, Committer& committer, Journal& journal)
      : plan_(plan), store_(store), committer_(committer), journal_(journal) {}

  // Says, too, whether the program had stopped by itself. `to_replay`: records behind the
  // checkpoints.
  Result<void> started(uint64_t to_replay);
  // One reading; tells what is another than at the one before.
  void look(size_t source, const streams::SourceStatus& status);
  void look(const Committer::Status& status);
  // `why` empty: it was asked to. Nothing when it never started.
  void stopped(const std::string& why);

 private:
  void tell(const char* phase, const std::string& title, const std::string& detail);

  const Plan& plan_;
  const store::Store& store_;
  Committer& committer_;
  Journal& journal_;
  bool started_ = false;
  std::set<size_t> failed_;  // sources
  bool disk_full_ = false;
};

}  // namespace qw::app
