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

std::string score_text(const Json& body) {
  const double score = double_in(body, "score");
  const double threshold = double_in(body, "threshold");
  std::string text = std::isfinite(score) ? fmt::format("score {:.3g}", score) : "";
  if (std::isfinite(score) && std::isfinite(threshold))
    text += fmt::format(", threshold {:.3g}", threshold);
  return text;
}

std::optional<Told> tell_alert(const schema::JournalRecord& record, const Json& body,
                               const Story& story) {
  const ShownAlert* const alert = story.find(text_in(body, "id"));
  const std::string title =
      alert != nullptr ? text_in(alert->body, "title") : text_in(body, "title");
  Told told;
  told.kind = "alert";
  told.ref = {{"alert_id", text_in(body, "id")}, {"series_id", text_in(body, "series_id")}};
  told.severity = text_in(body, "severity", "warning");
  told.title = title;
  told.detail = score_text(body);
  if (record.kind == "alert_fired") {
    told.phase = "opened";
  } else if (record.kind == "alert_escalated") {
    told.phase = "escalated";
    told.title = fmt::format("Now {}: {}", told.severity, title);
  } else if (record.kind == "alert_resolved") {
    const double after_s = double_in(body, "recovered_after_s");
    const bool gone = text_in(body, "reason") == "no_data";
    told.phase = "resolved";
    told.severity = gone ? "info" : "good";
    told.title =
        gone ? "Closed: no longer reported" : fmt::format("Recovered after {:.3g} s", after_s);
    told.detail = title;
  } else {
    return std::nullopt;
  }
  return told;
}

// How an action's end is told.
void tell_end(Told& told, const Json& body, const std::string& name) {
  const bool command = body.contains("end");
  const bool well = command
                        ? text_in(body, "end") == "exited" && integer_in(body, "exit_code", -1) == 0
                        : text_in(body, "state") == "delivered";
  told.phase = well ? "delivered" : "failed";
  told.severity = well ? "good" : "warning";
  if (command)
    told.title = fmt::format("Healing command {} {}", name, well ? "succeeded" : "failed");
  else
    told.title = fmt::format("Healing webhook {} {}", name, well ? "was delivered" : "failed");
  if (const int64_t status = integer_in(body, "http_status"); status > 0 && !command)
    told.title = fmt::format("Healing webhook {} answered {}", name, status);
  if (const double took_s = double_in(body, "took_s"); std::isfinite(took_s))
    told.detail = fmt::format("took {:.3g} s", took_s);
  if (!well) told.detail = text_in(body, "message", text_in(body, "stderr")).substr(0, 300);
}

std::optional<Told> tell_action(const schema::JournalRecord& record, const Json& body,
                                const Story& story) {
  const std::string id = text_in(body, "action_id");
  const ShownAlert* alert = story.find(text_in(body, "alert_id"));
  if (alert == nullptr) alert = story.alert_of_action(id);
  std::string heal = text_in(body, "heal");
  if (alert != nullptr)
    for (const Json& action : alert->body.at("actions"))
      if (text_in(action, "id") == id) heal = text_in(action, "name");
  const std::string name = heal.empty() ? "" : "'" + heal + "'";
  Told told;
  told.kind = "action";
  told.severity = "info";
  told.ref["action_id"] = id;
  if (alert != nullptr) {
    told.ref["alert_id"] = alert->id;
    told.ref["series_id"] = alert->series_id;
    told.detail = "for: " + text_in(alert->body, "title");
  }
  if (record.kind == "action_started") {
    told.phase = "started";
    told.title = "Healing " + name + " started";
  } else if (record.kind == "action_dry_run") {
    told.phase = "dry_run";
    told.title = "Healing " + name + " would have started (dry run)";
  } else if (record.kind == "action_skipped") {
    told.phase = "skipped";
    told.severity = "warning";
    told.title = "Healing " + name + " was not started";
    told.detail = text_in(body, "message");
  } else if (record.kind == "action_unknown") {
    told.phase = "failed";
    told.severity = "warning";
    told.title = "Healing " + name + " was running when the program ended";
    told.detail = "it is not run again";
  } else if (record.kind == "action_reset") {
    told.phase = "reset";
    told.title = "Healing '" + text_in(body, "heal") + "' may act again";
  } else if (record.kind == "action_finished" && alert != nullptr) {
    tell_end(told, body, name);
  } else if (record.kind == "action_outcome" && text_in(body, "outcome") != "no_data") {
    told.phase = text_in(body, "outcome");
    const bool well = told.phase == "recovered";
    told.severity = well ? "good" : "warning";
    told.title = well ? "The metric recovered after the healing"
                      : "The metric did not recover after the healing";
  } else if (record.kind.starts_with("delivery_") && alert != nullptr) {
    told.phase = "failed";
    told.severity = "warning";
    told.title = "Healing webhook " + name + " was given up";
    told.detail = text_in(body, "reason");
  } else {
    return std::nullopt;
  }
  return told;
}

std::string incident_name(const std::string& kind) {
  if (kind == "cpu") return "CPU hog";
  if (kind == "memory") return "Memory hog";
  if (kind == "disk") return "Disk writer";
  return "Incident " + kind;
}

Told tell_incident(const schema::JournalRecord& record, const Json& body) {
  std::string state = text_in(body, "state", text_in(body, "phase"));
  const bool running = record.kind == "incident_started" || state == "started";
  const std::string what = incident_name(text_in(body, "incident", text_in(body, "kind")));
  Told told;
  told.kind = "incident";
  told.ref["incident_id"] = text_in(body, "id");
  told.severity = running ? "warning" : "info";
  told.phase = running ? "started" : state == "stopped" ? "stopped" : "ended";
  told.title = what + (running ? " started" : " ended");
  if (running) {
    const int64_t for_us = integer_in(body, "ends_us") - integer_in(body, "started_us");
    told.detail = fmt::format("a harmless test load, at most {} s", for_us / 1'000'000);
  } else {
    told.detail = state == "healed"    ? "ended by the healing action"
                  : state == "stopped" ? "stopped by a person"
                  : state == "failed"  ? text_in(body, "message", "it could not do its work")
                                       : "its time was over";
  }
  return told;
}

Told tell_verdict(const Json& body, const Story& story) {
  const std::string verdict = text_in(body, "verdict");
  const ShownAlert* const alert = story.find(text_in(body, "alert_id"));
  Told told;
  told.kind = "verdict";
  told.phase = verdict;
  told.severity = "info";
  told.title = verdict == "real" ? "Judged: real" : "Judged: false alarm";
  told.ref["alert_id"] = text_in(body, "alert_id");
  if (alert != nullptr) {
    told.ref["series_id"] = alert->series_id;
    told.detail = text_in(alert->body, "title");
  }
  if (const std::string note = text_in(body, "note"); !note.empty())
    told.detail += (told.detail.empty() ? "" : "; ") + note;
  return told;
}

// Records whose parts say themselves what a person should read.
Told tell_plain(const schema::JournalRecord& record, const Json& body) {
  Told told;
  told.kind = record.kind.substr(0, record.kind.find('_'));
  told.phase = text_in(body, "phase", text_in(body, "state"));
  if (told.phase.empty() && record.kind.size() > told.kind.size())
    told.phase = record.kind.substr(told.kind.size() + 1);
  const bool bad = told.phase == "drifting" || told.phase == "refused" || told.phase == "failed" ||
                   told.phase == "source_failed" || told.phase == "source_gap" ||
                   told.phase == "disk_full" || told.phase == "sink_removed" ||
                   told.phase == "late_events" || told.phase == "limit";
  const bool good = told.phase == "steady" || told.phase == "swapped" ||
                    told.phase == "published" || told.phase == "warm" || told.phase == "disk_ok" ||
                    told.phase == "source_recovered";
  told.severity = text_in(body, "severity", bad ? "warning" : good ? "good" : "info");
  told.title = text_in(body, "title", text_in(body, "message"));
  told.detail = text_in(body, "detail", text_in(body, "reason"));
  if (told.title.empty()) told.title = told.kind + " " + told.phase;
  for (const char* const name : {"model", "run_id"})
    if (body.contains(name)) told.ref[name] = text_in(body, name);
  if (body.contains("version"))
    told.ref["version"] =
        body["version"].is_string() ? text_in(body, "version") : body["version"].dump();
  return told;
}

}  // namespace

std::optional<Json> timeline_entry(Seq seq, const schema::JournalRecord& record,
                                   const Story& story) {
  const Json body = Json::parse(record.json, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return std::nullopt;
  std::optional<Told> told;
  if (record.kind.starts_with("alert_")) told = tell_alert(record, body, story);
  if (record.kind.starts_with("action_") || record.kind.starts_with("delivery_"))
    told = tell_action(record, body, story);
  if (record.kind.starts_with("incident")) told = tell_incident(record, body);
  if (record.kind == "verdict") told = tell_verdict(body, story);
  for (const char* const plain : {"drift", "training", "model", "system"})
    if (record.kind.starts_with(plain)) told = tell_plain(record, body);
  if (!told) return std::nullopt;
  return Json{{"id", seq.value()},      {"t_us", record.at_us},       {"kind", told->kind},
              {"phase", told->phase},   {"severity", told->severity}, {"title", told->title},
              {"detail", told->detail}, {"ref", std::move(told->ref)}};
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
