// GET /v1/timeline: what happened, told from the journal.
#pragma once

#include <optional>
#include <string>

#include "app/api/answer.h"
#include "app/api/story.h"
#include "store/store.h"

namespace qw::app {

// A journal record as an entry of the timeline; nothing for one that says nothing to a person. The
// id is the record's seq, so it is the same after a restart.
std::optional<Json> timeline_entry(Seq seq, const schema::JournalRecord& record,
                                   const Story& story);

// Reads the journal itself: nothing is kept in memory. At most kRecordsMax records are looked at
// for one answer; a further page goes on from there.
class TimelineAnswers {
 public:
  static constexpr size_t kRecordsMax = 20'000;

  explicit TimelineAnswers(const Story& story) : story_(story) {}
  Outcome answer(const net::HttpRequest& request, const store::Store& store) const;

 private:
  const Story& story_;
};

}  // namespace qw::app
