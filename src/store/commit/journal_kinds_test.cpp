// Aim: a journal record says in its kind's own words what every data folder says, and a damaged one
// says what is wrong with it.
// Method: for each kind one full and one minimal body as they were written before there was a table
// of kinds, read and written again; then the faults, one by one.
#include "store/commit/journal_kinds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

namespace qw::store {
namespace {

constexpr const char* kSystemFull =
    R"({"detail":"kafka: the broker is away","phase":"source_failed",)"
    R"("title":"Source 'metrics' fails"})";
constexpr const char* kSystemMin =
    R"({"detail":"","phase":"disk_ok","title":"The disk takes records again"})";
constexpr const char* kViewIncomplete =
    R"({"complete_from_us":1795424390000000,"lost_until_us":-5,"partition":3,)"
    R"("source":"metrics","view":"metric"})";
constexpr const char* kRecordQuarantined =
    R"({"position":"a.csv:7","reason":"it ended the process twice","source":"metrics"})";
constexpr const char* kDelivery =
    R"({"action_id":"act-1","created_at_us":17,"reason":"answered 400","sink":"alerts"})";
constexpr const char* kModelFull =
    R"({"detail":"better","model":"anomaly","phase":"published","run_id":"run-17",)"
    R"("title":"Version 3 of 'anomaly' is published","version":"3"})";
constexpr const char* kModelMin = R"({"detail":"","model":"anomaly","phase":"swapped",)"
                                  R"("title":"Version 3 of 'anomaly' serves","version":"3"})";
constexpr const char* kTrainingFull =
    R"({"again":true,"best":0.75,"detail":"","ended_us":99,"message":"",)"
    R"("model":"anomaly","phase":"finished","reason":"it drifts","run_id":"run-17",)"
    R"("started_us":17,"state":"published",)"
    R"("title":"Training of 'anomaly' made version 3","training":"weekly",)"
    R"("trials_done":30,"trials_total":31,"trigger":"drift","version":"3"})";
constexpr const char* kTrainingMin =
    R"({"again":false,"detail":"","ended_us":0,"message":"","model":"anomaly",)"
    R"("phase":"started","reason":"","run_id":"run-17","started_us":17,"state":"running",)"
    R"("title":"Training of 'anomaly' begins","training":"","trials_done":0,)"
    R"("trials_total":30,"trigger":"person"})";
constexpr const char* kDriftFull =
    R"({"decision":"unusual","event_us":1795424390000000,"look":2,)"
    R"("message":"the scores drifted","model":"anomaly","p_value":1e-09,)"
    R"("retrain":"weekly","scores":4096,"served_by":"anomaly@3","state":"drifting",)"
    R"("test":"ks","threshold":0.125,"value":0.25})";
constexpr const char* kDriftMin =
    R"({"decision":"unusual","event_us":1795424390000000,"look":2,)"
    R"("message":"the scores drifted","model":"anomaly","p_value":null,"scores":4096,)"
    R"("served_by":"anomaly@3","state":"steady","test":"ks","threshold":0.125,)"
    R"("value":0.25})";
constexpr const char* kVerdictFull =
    R"({"alert_id":"al-1","verdict":"false_alarm","note":"backup é"})";
constexpr const char* kVerdictMin = R"({"alert_id":"al-1","verdict":"real","note":""})";
constexpr const char* kIncidentFull =
    R"({"id":"inc-17","kind":"cpu","state":"failed","started_us":17,"ends_us":60000017,)"
    R"("message":"no room"})";
constexpr const char* kIncidentMin =
    R"({"id":"inc-17","kind":"cpu","state":"running","started_us":17,"ends_us":60000017})";
constexpr const char* kUsualFull =
    R"({"alert_id":"al-1","usual":{"mean_1m":[1.5,2.0,null],"value":[4.0,20.25,41.5]}})";
constexpr const char* kUsualMin = R"({"alert_id":"al-1","usual":{}})";
constexpr const char* kAlertFull =
    R"({"id":"al-1","decision":"unusual","state":"resolved","severity":"critical",)"
    R"("title":"cpu of all is no longer reported","series_id":"unusual/cpu/all",)"
    R"("metric":"cpu","entity":"all","unit":"%","began_us":10,"opened_us":20,)"
    R"("resolved_us":1500020,"recovered_after_s":1.5,"value":97.5,"score":8.0,)"
    R"("score_max":9.5,"threshold":3.5,"usual_low":4.0,"usual_mid":9.0,"usual_high":22.5,)"
    R"("model":"anomaly","version":"3","members":[{"name":"level","title":"Level",)"
    R"("contribution":5.5},{"name":"trend","title":null,"contribution":null}],)"
    R"("features":[{"name":"mean_1m","value":90.0,"status":"ok","aggregate":"mean",)"
    R"("window_us":60000000,"usual_low":1.0,"usual_mid":2.0,"usual_high":3.0},)"
    R"({"name":"x","value":null,"status":"empty","aggregate":null,"window_us":null,)"
    R"("usual_low":null,"usual_mid":null,"usual_high":null}],"lead_id":"al-0",)"
    R"("flapping":true,"reason":"no_data","partition":2,"key":"cpu/all","notified":true})";
constexpr const char* kAlertMin =
    R"({"id":"al-1","decision":"unusual","state":"open","severity":"warning",)"
    R"("title":"k is unusual: unknown","series_id":"unusual/k","metric":"k","entity":"",)"
    R"("unit":"","began_us":10,"opened_us":20,"resolved_us":null,)"
    R"("recovered_after_s":null,"value":null,"score":null,"score_max":null,)"
    R"("threshold":null,"usual_low":null,"usual_mid":null,"usual_high":null,)"
    R"("model":"anomaly","version":"","members":[],"features":[],"lead_id":"al-1",)"
    R"("flapping":false,"partition":0,"key":"k","notified":true})";
constexpr const char* kStepFull =
    R"({"heal":"restart","action_id":"act-1","alert_id":"al-1","attempt":2,"at_us":17,)"
    R"("outcome":"not_recovered","took_s":6.0,"message":"n"})";
constexpr const char* kStepMin =
    R"({"heal":"restart","action_id":"act-1","alert_id":"al-1","attempt":1,"at_us":17})";
constexpr const char* kEndedFull =
    R"({"action_id":"act-1","attempts":3,"http_status":500,"message":"answered 500",)"
    R"("state":"failed"})";
constexpr const char* kEndedMin = R"({"action_id":"act-1","message":"","state":"delivered"})";
constexpr const char* kCommandFull =
    R"({"action_id":"act-1","end":"signalled","exit_code":null,"signal":9,"took_s":1.5,)"
    R"("stdout":"o","stderr":"e","cut":true,"message":"why"})";
constexpr const char* kCommandMin =
    R"({"action_id":"act-1","end":"exited","exit_code":0,"took_s":0.25,"stdout":"",)"
    R"("stderr":"","cut":false})";

// Read as this kind and written again.
template <class Body>
std::string again(const schema::JournalRecord& record) {
  const auto body = body_of<Body>(record);
  if (!body.ok()) return body.error().to_string();
  const schema::JournalRecord written = journal_record(*body, 1);
  EXPECT_EQ(written.kind, record.kind);
  EXPECT_EQ(written.at_us, 1);
  return written.json;
}

// One body as it stands in data folders. A value.
struct Golden {
  const char* kind;
  const char* json;
  std::string (*again)(const schema::JournalRecord&);
};
const Golden kGoldens[] = {
    {"system", kSystemFull, again<SystemBody>},
    {"system", kSystemMin, again<SystemBody>},
    {"view_incomplete", kViewIncomplete, again<ViewIncompleteBody>},
    {"record_quarantined", kRecordQuarantined, again<RecordQuarantinedBody>},
    {"delivery_refused", kDelivery, again<DeliveryBody>},
    {"delivery_expired", kDelivery, again<DeliveryBody>},
    {"delivery_failed", kDelivery, again<DeliveryBody>},
    {"model", kModelFull, again<ModelBody>},
    {"model", kModelMin, again<ModelBody>},
    {"training", kTrainingFull, again<TrainingBody>},
    {"training", kTrainingMin, again<TrainingBody>},
    {"drift", kDriftFull, again<DriftBody>},
    {"drift", kDriftMin, again<DriftBody>},
    {"verdict", kVerdictFull, again<VerdictBody>},
    {"verdict", kVerdictMin, again<VerdictBody>},
    {"incident_ended", kIncidentFull, again<IncidentBody>},
    {"incident_started", kIncidentMin, again<IncidentBody>},
    {"usual", kUsualFull, again<UsualBody>},
    {"usual", kUsualMin, again<UsualBody>},
    {"alert_resolved", kAlertFull, again<AlertBody>},
    {"alert_fired", kAlertMin, again<AlertBody>},
    {"alert_escalated", kAlertMin, again<AlertBody>},
    {"alert_stale", kAlertMin, again<AlertBody>},
    {"action_outcome", kStepFull, again<HealStepBody>},
    {"action_started", kStepMin, again<HealStepBody>},
    {"action_dry_run", kStepMin, again<HealStepBody>},
    {"action_skipped", kStepMin, again<HealStepBody>},
    {"action_unknown", kStepMin, again<HealStepBody>},
    {"action_reset", kStepMin, again<HealStepBody>},
    {"action_finished", kEndedFull, again<ActionFinishedBody>},
    {"action_finished", kEndedMin, again<ActionFinishedBody>},
    {"action_finished", kCommandFull, again<ActionFinishedBody>},
    {"action_finished", kCommandMin, again<ActionFinishedBody>},
};

TEST(JournalKinds, AreTheTextsThatDataFoldersHold) {
  for (const Golden& golden : kGoldens)
    EXPECT_EQ(golden.again({golden.kind, 7, golden.json}), golden.json) << golden.kind;
}

// So that a kind cannot be added without its golden.
template <class... Bodies>
std::set<std::string_view> kinds_of() {
  std::set<std::string_view> kinds;
  (kinds.insert(std::begin(Bodies::kKinds), std::end(Bodies::kKinds)), ...);
  return kinds;
}
TEST(JournalKinds, HaveAGoldenEach) {
  std::set<std::string_view> golden;
  for (const Golden& one : kGoldens) golden.insert(one.kind);
  EXPECT_EQ((kinds_of<SystemBody, ViewIncompleteBody, RecordQuarantinedBody, DeliveryBody,
                      ModelBody, TrainingBody, DriftBody, VerdictBody, IncidentBody, UsualBody,
                      AlertBody, HealStepBody, ActionFinishedBody>()),
            golden);
}

TEST(JournalKinds, AreReadIntoTheirFields) {
  const auto alert = body_of<AlertBody>({"alert_resolved", 7, kAlertFull});
  ASSERT_TRUE(alert.ok());
  EXPECT_EQ(alert->kind, AlertBody::kResolved);
  EXPECT_EQ(alert->resolved_us, 1500020);
  EXPECT_EQ(alert->members.at(0).contribution, 5.5);
  EXPECT_TRUE(std::isnan(alert->members.at(1).contribution));
  EXPECT_EQ(alert->features.at(0).window_us, 60000000);
  EXPECT_EQ(alert->partition, 2u);
  const auto open = body_of<AlertBody>({"alert_fired", 7, kAlertMin});
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->resolved_us, std::nullopt);
  EXPECT_TRUE(std::isnan(open->score_max));
  const auto command = body_of<ActionFinishedBody>({"action_finished", 7, kCommandMin});
  ASSERT_TRUE(command.ok());
  EXPECT_TRUE(command->command->well());
  const auto webhook = body_of<ActionFinishedBody>({"action_finished", 7, kEndedFull});
  ASSERT_TRUE(webhook.ok());
  EXPECT_FALSE(webhook->command.has_value());
  EXPECT_EQ(webhook->http_status, 500);
  const auto verdict = body_of<VerdictBody>({"verdict", 7, kVerdictFull});
  ASSERT_TRUE(verdict.ok());
  EXPECT_FALSE(verdict->real);
}

TEST(JournalKinds, KnowTheirRecords) {
  EXPECT_TRUE(is_a<AlertBody>({"alert_stale", 0, ""}));
  EXPECT_FALSE(is_a<AlertBody>({"alert", 0, ""}));
  EXPECT_FALSE(is_a<HealStepBody>({"action_finished", 0, ""}));
}

// What a newer version says besides is passed over; what an older one did not say has its default.
TEST(JournalKinds, MayBeNewerOrOlder) {
  const auto newer = body_of<ModelBody>(
      {"model", 7, R"({"model":"m","phase":"swapped","version":"3","mood":{"good":1}})"});
  ASSERT_TRUE(newer.ok());
  EXPECT_EQ(newer->version, "3");
  EXPECT_EQ(newer->title, "");
  EXPECT_EQ(newer->run_id, std::nullopt);
  const auto older =
      body_of<TrainingBody>({"training", 7, R"({"run_id":"r","model":"m","state":"failed"})"});
  ASSERT_TRUE(older.ok());
  EXPECT_EQ(older->started_us, std::nullopt);
  EXPECT_FALSE(older->again);
  const auto drift = body_of<DriftBody>({"drift", 7, R"({"model":"m","state":"steady"})"});
  ASSERT_TRUE(drift.ok());
  EXPECT_TRUE(std::isnan(drift->p_value)) << "not known, rather than 0";
}

template <class Body>
std::string trouble(const char* kind, const char* json) {
  const auto body = body_of<Body>({kind, 7, json});
  if (body.ok()) return "none";
  EXPECT_EQ(body.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(body.error().message, testing::HasSubstr(kind));
  return body.error().message.substr(body.error().message.find(": ") + 2);
}

TEST(JournalKinds, SayWhatIsDamaged) {
  EXPECT_EQ(trouble<SystemBody>("system", R"({"phase":"sta)"), "it is no JSON object");
  EXPECT_EQ(trouble<SystemBody>("system", "[]"), "it is no JSON object");
  EXPECT_EQ(trouble<SystemBody>("system", "{}"), "'phase' is missing");
  EXPECT_EQ(trouble<SystemBody>("system", R"({"phase":7})"), "'phase' is of another type");
  EXPECT_EQ(trouble<VerdictBody>("verdict", R"({"alert_id":"a","verdict":"maybe"})"),
            "'verdict' is of another type");
  EXPECT_EQ(trouble<IncidentBody>("incident_ended", R"({"id":"i","started_us":1.5,"ends_us":2})"),
            "'started_us' is of another type");
  EXPECT_EQ(trouble<IncidentBody>("incident_ended", R"({"id":"i","started_us":1})"),
            "'ends_us' is missing");
  EXPECT_EQ(trouble<UsualBody>("usual", R"({"alert_id":"a","usual":{"value":[1,2]}})"),
            "'usual' is of another type");
  const std::string alert =
      R"({"id":"a","decision":"d","began_us":1,"opened_us":2,"key":"k","partition":)";
  EXPECT_EQ(trouble<AlertBody>("alert_fired", (alert + "3}").c_str()), "none");
  for (const char* const partition : {"-1}", "4294967296}", "\"3\"}", "null}"})
    EXPECT_EQ(trouble<AlertBody>("alert_fired", (alert + partition).c_str()),
              "'partition' is of another type");
  EXPECT_EQ(trouble<AlertBody>("alert_fired", (alert + R"(3,"members":[{}]})").c_str()),
            "'members' is of another type");
}

TEST(JournalKinds, BytesThatAreNoTextAreReplaced) {
  const schema::JournalRecord record = journal_record(SystemBody{"limit", "\xff", "a\xc3"}, 7);
  EXPECT_EQ(body_of<SystemBody>(record)->title, "\xef\xbf\xbd");
}

}  // namespace
}  // namespace qw::store
