// What the journal says of alerts, actions, incidents and verdicts, put together as the API shows
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/api/names.h"
#include "app/api/series.h"
#include "base/ids.h"
#include "schema/records.h"
#include "store/commit/journal_kinds.h"

namespace qw::app {

// One alert. `body` is as docs/reference/api.md, kept up to date.
struct ShownAlert {
  uint64_t seq = 0;  // of its opening in the journal: newer alerts have a greater one
  std::string id;
  std::string series_id;
  bool open = true;
  Json body;
};

// A demo incident as it stands. A value.
struct ShownIncident {
  std::string id, kind, state;  // state: "running", "ended", "stopped", "healed", "failed"
  int64_t started_us = 0, ends_us = 0;
};

// Takes journal records in their order, at the start those of the past. Keeps the newest
// kMaxAlerts alerts and kMaxIncidents incidents. One thread. A record that cannot be read is left
// out: the journal is told by many parts, and an old one may speak differently.
class Story {
 public:
  static constexpr size_t kMaxAlerts = 1000;
  static constexpr size_t kMaxIncidents = 200;

  explicit Story(const Names& names) : names_(names) {}

  // What a record changed.
  struct Change {
    std::string alert_id;  // the alert that is another now; empty: none
    bool incident = false;
  };
  Change take(Seq seq, const schema::JournalRecord& record);
  // An open alert's score rose to this much. False: it is not open, or was there already.
  bool raise(const std::string& alert_id, double score);

  const ShownAlert* find(const std::string& id) const;
  const ShownAlert* alert_of_action(const std::string& action_id) const;
  // Newest first.
  std::vector<const ShownAlert*> alerts() const;
  std::vector<const ShownAlert*> open_alerts() const;
  Json counts() const;
  const std::deque<ShownIncident>& incidents() const { return incidents_; }
  std::vector<AlertSpan> alert_spans(const std::string& series_id) const;
  // From when to when a series was beyond its threshold, in event time; an open end is far ahead.
  std::vector<std::pair<int64_t, int64_t>> alert_times(const std::string& series_id) const;
  // Of incidents, and of the verdicts on alerts of this series.
  std::vector<LabelSpan> label_spans(const std::string& series_id) const;

 private:
  // Each takes a body of its kind, from a record of `at_us`.
  Change take(Seq seq, int64_t at_us, const store::AlertBody& body);
  Change take(Seq seq, int64_t at_us, const store::HealStepBody& body);
  Change take(Seq seq, int64_t at_us, const store::ActionFinishedBody& body);
  Change take(Seq seq, int64_t at_us, const store::DeliveryBody& body);
  Change take(Seq seq, int64_t at_us, const store::IncidentBody& body);
  Change take(Seq seq, int64_t at_us, const store::UsualBody& body);
  Change take(Seq seq, int64_t at_us, const store::VerdictBody& body);
  template <class Body>
  std::optional<Change> take_if(Seq seq, const schema::JournalRecord& record);
  ShownAlert& open(Seq seq, int64_t at_us, const store::AlertBody& body);
  Json* action(const std::string& id);
  Json new_action(int64_t at_us, const store::HealStepBody& body) const;
  void name_features(Json& body, size_t decision) const;
  std::string running_incident(int64_t at_us) const;
  void forget_oldest();

  const Names& names_;
  std::map<uint64_t, ShownAlert> alerts_;         // by seq
  std::map<std::string, uint64_t> by_id_;         // -> seq
  std::map<std::string, std::string> of_action_;  // action id -> alert id
  std::deque<ShownIncident> incidents_;           // oldest first
};

// A text or number of what the API shows; the fallback when it is not there.
std::string text_in(const Json& body, const char* name, const std::string& fallback = {});
int64_t integer_in(const Json& body, const char* name, int64_t fallback = 0);
double double_in(const Json& body, const char* name);  // NaN when it is not there

}  // namespace qw::app
