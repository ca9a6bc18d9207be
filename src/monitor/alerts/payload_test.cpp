// Aim: what is said about an alert is valid, complete and the same for every receiver.
// Method: bodies are read back by a JSON parser and compared field by field with the formats'
// descriptions; hostile names and absent numbers go through every shape.
#include "monitor/alerts/payload.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace qw::monitor {
namespace {

using Json = nlohmann::json;

AlertDetail detail() {
  AlertDetail made;
  made.scope = {"anomaly", "unusual", "machine"};
  AlertChange& change = made.change;
  change.transition = {TransitionKind::kFired, Severity::kWarn, {}, 1795424396250000, 41};
  change.key = "cpu.busy_percent/all";
  change.alert_id = change.lead_id = "a-1";
  change.began_us = 1795424393000000;
  change.opened_us = 1795424396250000;
  change.score_max = 6.1;
  made.series_id = "host/cpu.busy_percent/all";
  made.metric = "cpu.busy_percent";
  made.entity = "all";
  made.unit = "%";
  made.value = 97.1;
  made.score = 5.2;
  made.threshold = 3.463;
  made.usual_low = 4;
  made.usual_mid = 11.2;
  made.usual_high = 22.5;
  made.model = "machine";
  made.version = "3";
  made.members = {{"seasonal", "unusual for this hour", 0.8},
                  {"knn_12x2", "unlike any recent shape", 2.9}};
  made.features = {{"mean_1m", 58.2, "ok", "mean", 60000000, 4, 11.2, NAN}};
  made.labels = {{"team", "infra"}, {"severity", "forged"}};
  return made;
}
AlertDetail resolved_detail() {
  AlertDetail made = detail();
  made.change.transition.kind = TransitionKind::kResolved;
  made.change.transition.at_us = 1795424421250000;
  return made;
}

TEST(AlertPayload, ApiShape) {
  const Json json = Json::parse(api_json(detail()));
  EXPECT_EQ(json["id"], "a-1");
  EXPECT_EQ(json["state"], "open");
  EXPECT_EQ(json["severity"], "warning");
  EXPECT_EQ(json["title"], "cpu.busy_percent of all is above usual: 97.1 %, usual 4 to 22.5 %");
  EXPECT_TRUE(json["resolved_us"].is_null());
  EXPECT_EQ(json["members"][1]["contribution"], 2.9);
  EXPECT_EQ(json["features"][0]["window_us"], 60000000);
  EXPECT_TRUE(json["features"][0]["usual_high"].is_null()) << "not known is null, never NaN";
  const Json over = Json::parse(api_json(resolved_detail()));
  EXPECT_EQ(over["state"], "resolved");
  EXPECT_EQ(over["recovered_after_s"], 25.0);
  EXPECT_EQ(over["reason"], "cleared");
}

TEST(AlertPayload, WebhookShape) {
  const Json json = Json::parse(notification_json(detail(), "heal"));
  EXPECT_EQ(json["version"], "4");
  EXPECT_EQ(json["status"], "firing");
  EXPECT_EQ(json["receiver"], "heal");
  ASSERT_EQ(json["alerts"].size(), 1u);
  const Json& alert = json["alerts"][0];
  EXPECT_EQ(alert["startsAt"], "2026-11-23T08:59:56.250000Z");
  EXPECT_EQ(alert["endsAt"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(alert["labels"]["alertname"], "unusual");
  EXPECT_EQ(alert["labels"]["team"], "infra");
  EXPECT_EQ(alert["labels"]["severity"], "warning") << "the application cannot forge ours";
  EXPECT_EQ(alert["annotations"]["description"],
            "score 5.2 against a threshold of 3.463; unlike any recent shape 2.9; unusual for this "
            "hour 0.8");
  for (const char* field : {"groupKey", "truncatedAlerts", "groupLabels", "commonLabels",
                            "commonAnnotations", "externalURL", "alert", "labels", "annotations"})
    EXPECT_TRUE(json.contains(field)) << field;
  EXPECT_EQ(json["starts_at_us"], 1795424396250000);
  const Json over = Json::parse(notification_json(resolved_detail(), "heal"));
  EXPECT_EQ(over["status"], "resolved");
  EXPECT_EQ(over["alerts"][0]["endsAt"], "2026-11-23T09:00:21.250000Z");
  EXPECT_EQ(over["groupKey"], json["groupKey"]);
  EXPECT_EQ(over["alerts"][0]["fingerprint"], alert["fingerprint"]);
}

TEST(AlertPayload, AnEscalationReplacesTheLowerAlert) {
  AlertDetail louder = detail();
  louder.change.transition.kind = TransitionKind::kEscalated;
  louder.change.transition.severity = Severity::kPage;
  louder.change.transition.previous = Severity::kWarn;
  const Json row = Json::parse(notification_json(louder, "heal"));
  EXPECT_EQ(row["labels"]["severity"], "critical");
  EXPECT_EQ(row["replaces"]["severity"], "warning");
  const Json body = Json::parse(alertmanager_json({louder}, 1795424500000000));
  ASSERT_EQ(body.size(), 2u);
  EXPECT_EQ(body[0]["labels"]["severity"], "warning");
  EXPECT_EQ(body[0]["endsAt"], "2026-11-23T08:59:56.250000Z");
  EXPECT_EQ(body[1]["labels"]["severity"], "critical");
  EXPECT_EQ(body[1]["endsAt"], "2026-11-23T09:01:40.000000Z");
}

TEST(AlertPayload, HostileNamesAndAbsentNumbersStayValid) {
  AlertDetail hostile = detail();
  hostile.change.key = "a\"b\\c\n\xFF\xC3";
  hostile.metric = "\xED\xA0\x80";
  hostile.value = NAN;
  hostile.score = INFINITY;
  hostile.usual_low = hostile.usual_high = NAN;
  for (const std::string& body :
       {api_json(hostile), store::journal_record(journal_body(hostile), 0).json,
        notification_json(hostile, "x"), alertmanager_json({hostile}, 0)})
    EXPECT_FALSE(Json::parse(body, nullptr, false).is_discarded()) << body;
  EXPECT_TRUE(Json::parse(api_json(hostile))["score"].is_null());
}

TEST(AlertPayload, FingerprintIsAlertmanagers) {
  EXPECT_EQ(fingerprint_of({}), "cbf29ce484222325");
  EXPECT_EQ(fingerprint_of({{"alertname", "unusual"}, {"severity", "warning"}}), "233549c2f4e0189c")
      << "as Alertmanager 0.25 answered for these labels";
}

}  // namespace
}  // namespace qw::monitor
