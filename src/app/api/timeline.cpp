#include "app/api/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "store/commit/journal.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

struct Told {
  std::string kind, phase, severity, title, detail;
  Json ref = Json::object();
};

std::string score_text(const store::AlertBody& body) {
  std::string text = std::isfinite(body.score) ? fmt::format("score {:.3g}", body.score) : "";
  if (std::isfinite(body.score) && std::isfinite(body.threshold))
    text += fmt::format(", threshold {:.3g}", body.threshold);
  return text;
}

std::optional<Told> tell(const store::AlertBody& body, const Story& story) {
  const ShownAlert* const alert = story.find(body.id);
  const std::string title = alert != nullptr ? text_in(alert->body, "title") : body.title;
  Told told;
  told.kind = "alert";
  told.ref = {{"alert_id", body.id}, {"series_id", body.series_id}};
  told.severity = body.severity;
  told.title = title;
  told.detail = score_text(body);
  if (body.kind == store::AlertBody::kFired) {
    told.phase = "opened";
  } else if (body.kind == store::AlertBody::kEscalated) {
    told.phase = "escalated";
    told.title = fmt::format("Now {}: {}", told.severity, title);
  } else if (body.kind == store::AlertBody::kResolved) {
    const bool gone = body.reason == "no_data";
    told.phase = "resolved";
    told.severity = gone ? "info" : "good";
    told.title = gone ? "Closed: no longer reported"
                      : fmt::format("Recovered after {:.3g} s", body.recovered_after_s.value_or(0));
    told.detail = title;
  } else {
    return std::nullopt;
  }
  return told;
}

// What every word about an action has: which it is, and of which alert.
struct OfAction {
  Told told;
  const ShownAlert* alert = nullptr;
  std::string name;  // in quotes
};
OfAction of_action(const Story& story, const std::string& id, const ShownAlert* alert,
                   std::string heal) {
  OfAction of;
  of.alert = alert != nullptr ? alert : story.alert_of_action(id);
  of.told.kind = "action";
  of.told.severity = "info";
  of.told.ref["action_id"] = id;
  if (of.alert != nullptr) {
    for (const Json& action : of.alert->body.at("actions"))
      if (text_in(action, "id") == id) heal = text_in(action, "name");
    of.told.ref["alert_id"] = of.alert->id;
    of.told.ref["series_id"] = of.alert->series_id;
    of.told.detail = "for: " + text_in(of.alert->body, "title");
  }
  of.name = heal.empty() ? "" : "'" + heal + "'";
  return of;
}

std::optional<Told> tell(const store::HealStepBody& body, const Story& story) {
  using Body = store::HealStepBody;
  auto [told, alert, name] = of_action(story, body.action_id, story.find(body.alert_id), body.heal);
  if (body.kind == Body::kStarted) {
    told.phase = "started";
    told.title = "Healing " + name + " started";
  } else if (body.kind == Body::kDryRun) {
    told.phase = "dry_run";
    told.title = "Healing " + name + " would have started (dry run)";
  } else if (body.kind == Body::kSkipped) {
    told.phase = "skipped";
    told.severity = "warning";
    told.title = "Healing " + name + " was not started";
    told.detail = body.message;
  } else if (body.kind == Body::kUnknown) {
    told.phase = "failed";
    told.severity = "warning";
    told.title = "Healing " + name + " was running when the program ended";
    told.detail = "it is not run again";
  } else if (body.kind == Body::kReset) {
    told.phase = "reset";
    told.title = "Healing '" + body.heal + "' may act again";
  } else if (body.outcome == "no_data") {
    return std::nullopt;
  } else {
    told.phase = body.outcome.value_or("");
    const bool well = told.phase == "recovered";
    told.severity = well ? "good" : "warning";
    told.title = well ? "The metric recovered after the healing"
                      : "The metric did not recover after the healing";
  }
  return told;
}

// How an action's end is told.
std::optional<Told> tell(const store::ActionFinishedBody& body, const Story& story) {
  auto [told, alert, name] = of_action(story, body.action_id, nullptr, "");
  if (alert == nullptr) return std::nullopt;
  const bool well = body.command ? body.command->well() : body.state == "delivered";
  told.phase = well ? "delivered" : "failed";
  told.severity = well ? "good" : "warning";
  if (body.command)
    told.title = fmt::format("Healing command {} {}", name, well ? "succeeded" : "failed");
  else
    told.title = fmt::format("Healing webhook {} {}", name, well ? "was delivered" : "failed");
  if (const int64_t status = body.http_status.value_or(0); status > 0)
    told.title = fmt::format("Healing webhook {} answered {}", name, status);
  if (body.command && std::isfinite(body.command->took_s))
    told.detail = fmt::format("took {:.3g} s", body.command->took_s);
  const bool silent = body.command && body.message.empty();
  if (!well) told.detail = (silent ? body.command->err : body.message).substr(0, 300);
  return told;
}

std::optional<Told> tell(const store::DeliveryBody& body, const Story& story) {
  auto [told, alert, name] = of_action(story, body.action_id, nullptr, "");
  if (alert == nullptr) return std::nullopt;
  told.phase = "failed";
  told.severity = "warning";
  told.title = "Healing webhook " + name + " was given up";
  told.detail = body.reason;
  return told;
}

std::string incident_name(const std::string& load) {
  if (load == "cpu") return "CPU hog";
  if (load == "memory") return "Memory hog";
  if (load == "disk") return "Disk writer";
  return "Incident " + load;
}

std::optional<Told> tell(const store::IncidentBody& body, const Story&) {
  const bool running = body.kind == store::IncidentBody::kStarted;
  const std::string what = incident_name(body.load);
  Told told;
  told.kind = "incident";
  told.ref["incident_id"] = body.id;
  told.severity = running ? "warning" : "info";
  told.phase = running ? "started" : body.state == "stopped" ? "stopped" : "ended";
  told.title = what + (running ? " started" : " ended");
  if (running) {
    told.detail = fmt::format("a harmless test load, at most {} s",
                              (body.ends_us - body.started_us) / 1'000'000);
  } else {
    const std::string why = body.message.empty() ? "it could not do its work" : body.message;
    told.detail = body.state == "healed"    ? "ended by the healing action"
                  : body.state == "stopped" ? "stopped by a person"
                  : body.state == "failed"  ? why
                                            : "its time was over";
  }
  return told;
}

std::optional<Told> tell(const store::VerdictBody& body, const Story& story) {
  const ShownAlert* const alert = story.find(body.alert_id);
  Told told;
  told.kind = "verdict";
  told.phase = body.verdict();
  told.severity = "info";
  told.title = body.real ? "Judged: real" : "Judged: false alarm";
  told.ref["alert_id"] = body.alert_id;
  if (alert != nullptr) {
    told.ref["series_id"] = alert->series_id;
    told.detail = text_in(alert->body, "title");
  }
  if (!body.note.empty()) told.detail += (told.detail.empty() ? "" : "; ") + body.note;
  return told;
}

// Records that say themselves what a person should read.
Told plain(const char* kind, const std::string& phase, const std::string& title,
           const std::string& detail) {
  static constexpr std::string_view kBad[] = {"drifting",      "refused",     "failed",
                                              "source_failed", "source_gap",  "disk_full",
                                              "sink_removed",  "late_events", "limit"};
  static constexpr std::string_view kGood[] = {"steady", "swapped", "published",
                                               "warm",   "disk_ok", "source_recovered"};
  const bool bad = std::ranges::find(kBad, phase) != std::end(kBad);
  const bool good = std::ranges::find(kGood, phase) != std::end(kGood);
  Told told;
  told.kind = kind;
  told.phase = phase;
  told.severity = bad ? "warning" : good ? "good" : "info";
  told.title = title.empty() ? told.kind + " " + phase : title;
  told.detail = detail;
  return told;
}

std::optional<Told> tell(const store::SystemBody& body, const Story&) {
  return plain("system", body.phase, body.title, body.detail);
}

std::optional<Told> tell(const store::DriftBody& body, const Story&) {
  Told told = plain("drift", body.state, body.message, "");
  told.ref["model"] = body.model;
  return told;
}

std::optional<Told> tell(const store::ModelBody& body, const Story&) {
  Told told = plain("model", body.phase, body.title, body.detail);
  told.ref["model"] = body.model;
  if (body.run_id) told.ref["run_id"] = *body.run_id;
  told.ref["version"] = body.version;
  return told;
}

std::optional<Told> tell(const store::TrainingBody& body, const Story&) {
  Told told = plain("training", body.phase, body.title, body.detail);
  told.ref["model"] = body.model;
  told.ref["run_id"] = body.run_id;
  if (body.version) told.ref["version"] = *body.version;
  return told;
}

// Of the first of these kinds that the record has.
template <class Body, class... Others>
std::optional<Told> tell_one_of(const schema::JournalRecord& record, const Story& story) {
  if (store::is_a<Body>(record)) {
    const auto body = store::body_of<Body>(record);
    return body.ok() ? tell(*body, story) : std::nullopt;
  }
  if constexpr (sizeof...(Others) > 0) return tell_one_of<Others...>(record, story);
  return std::nullopt;
}

}  // namespace

std::optional<Json> timeline_entry(Seq seq, const schema::JournalRecord& record,
                                   const Story& story) {
  const auto told =
      tell_one_of<store::AlertBody, store::HealStepBody, store::ActionFinishedBody,
                  store::DeliveryBody, store::IncidentBody, store::VerdictBody, store::DriftBody,
                  store::TrainingBody, store::ModelBody, store::SystemBody>(record, story);
  if (!told) return std::nullopt;
  return Json{{"id", seq.value()},          {"t_us", record.at_us},
              {"kind", told->kind},         {"phase", told->phase},
              {"severity", told->severity}, {"title", told->title},
              {"detail", told->detail},     {"ref", told->ref}};
}

Outcome TimelineAnswers::answer(const net::HttpRequest& request, const store::Store& store) const {
  Query query(request);
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max();
  const auto limit = static_cast<size_t>(query.integer("limit", 100, 1, 500));
  const int64_t before = query.integer("before", kFar, 0, kFar);
  const int64_t after = query.integer("after", 0, 0, kFar);
  if (query.fault()) return *query.fault();
  const auto kinds = query.list("kinds");
  Json entries = Json::array();
  bool more = false;
  int64_t looked_at = 0;  // the last record that was looked at
  size_t records = 0;
  const auto read = store::History(store).scan_back(
      store::Log::kJournal, store::kJournalPartition, Seq{static_cast<uint64_t>(before)},
      kRecordsMax, [&](Seq seq, std::string_view bytes) {
        if (seq.value() <= static_cast<uint64_t>(after)) return false;
        const auto record = schema::decode_journal(bytes);
        auto entry = record.ok() ? timeline_entry(seq, *record, story_) : std::nullopt;
        const bool wanted =
            entry && (kinds.empty() || std::find(kinds.begin(), kinds.end(),
                                                 text_in(*entry, "kind")) != kinds.end());
        more = (wanted && entries.size() == limit) || ++records == kRecordsMax;
        if (more && wanted && entries.size() == limit) return false;
        if (wanted) entries.push_back(std::move(*entry));
        looked_at = static_cast<int64_t>(seq.value());
        return true;
      });
  if (!read.ok())
    return Refusal{500, "internal", read.error().to_string(), "see the program's log"};
  return Json{{"entries", std::move(entries)}, {"next", more ? Json(looked_at) : Json(nullptr)}};
}

}  // namespace qw::app
