// Aim: the API answers as docs/reference/api.md says, hides no peak, and refuses strangers.
// Method: a real application over generated events, asked through sockets; the document's own
// examples say which keys an answer has; numbers are computed anew from the generator's formula.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "api_app.h"
#include "api_shape.h"

namespace qw::test {
namespace {

using nlohmann::json;
using ::testing::Test;

constexpr uint64_t kEvents = 12'000;  // 10 series of 1200, a spike from row 992 to 999

class ApiTest : public Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<DataFolder>("read");
    app_ = std::make_unique<ApiApp>(folder_->path(), kEvents);
    ASSERT_TRUE(app_->wait_until_finished());
  }
  static void TearDownTestSuite() {
    app_.reset();
    folder_.reset();
  }
  static json get(const std::string& target, int status = 200) {
    const Answered answer = app_->get(target);
    EXPECT_EQ(answer.status, status) << target << " " << answer.response.body;
    return answer.json;
  }

  static std::unique_ptr<DataFolder> folder_;
  static std::unique_ptr<ApiApp> app_;
};
std::unique_ptr<DataFolder> ApiTest::folder_;
std::unique_ptr<ApiApp> ApiTest::app_;

using Faults = std::vector<std::string>;

TEST_F(ApiTest, AnswersHaveEveryKeyOfTheDocument) {
  EXPECT_EQ(differences(example_of("status"), get("/v1/status")), Faults());
  EXPECT_EQ(differences(example_of("series"), get("/v1/series")), Faults());
  const std::string history = "/v1/series/unusual%2Fs3/history";
  EXPECT_EQ(differences(example_of("history"), get(history + "?features=all")), Faults());
  EXPECT_EQ(differences(example_of("features"), get("/v1/features?view=metric&key=s3")), Faults());
  EXPECT_EQ(differences(example_of("error"), get("/v1/nothing", 404)), Faults());
  EXPECT_EQ(differences(example_of("models"), get("/v1/models")), Faults());
}

TEST_F(ApiTest, ModelsNameWhoServes) {
  const json model = get("/v1/models")["models"][0];
  EXPECT_EQ(model["name"], "anomaly");
  EXPECT_EQ(model["champion"], "0");
  EXPECT_EQ(model["decisions"], json::array({"unusual"}));
  ASSERT_EQ(model["versions"].size(), 1u);
  EXPECT_EQ(model["versions"][0]["state"], "champion");
  EXPECT_EQ(model["versions"][0]["series_total"], 10);
  EXPECT_FALSE(model["versions"][0]["settings"].empty());
}

TEST_F(ApiTest, StatusCountsWhatCame) {
  const json status = get("/v1/status");
  EXPECT_EQ(status["app"], "flow");
  EXPECT_EQ(status["mode"], "replay");
  EXPECT_EQ(status["sources"][0]["events_total"], kEvents);
  EXPECT_EQ(status["sources"][0]["state"], "finished");
  EXPECT_EQ(status["warmup"]["series_total"], 10);
  std::set<std::string> stages;
  for (const json& stage : status["stages"]) stages.insert(stage["name"]);
  EXPECT_EQ(stages, (std::set<std::string>{"computed", "durable", "delivered"}));
}

TEST_F(ApiTest, SeriesAreFoundByWordsAndCut) {
  EXPECT_EQ(get("/v1/series")["total"], 10);
  const json one = get("/v1/series?filter=S7%20unusual&spark=0");
  ASSERT_EQ(one["series"].size(), 1u);
  EXPECT_EQ(one["series"][0]["id"], "unusual/s7");
  EXPECT_TRUE(one["series"][0]["spark"].is_null());
  const json cut = get("/v1/series?limit=3&spark=5");
  EXPECT_EQ(cut["total"], 10);
  ASSERT_EQ(cut["series"].size(), 3u);
  EXPECT_EQ(cut["series"][0]["spark"]["value"].size(), 5u);
  EXPECT_EQ(get("/v1/series?filter=nothing")["total"], 0);
}

TEST_F(ApiTest, HistoryHasEveryRowWhenThereIsRoom) {
  const json all = get("/v1/series/unusual%2Fs3/history?from_us=0&max_points=5000");
  EXPECT_EQ(all["bucket_us"], 0);
  ASSERT_EQ(all["t_us"].size(), 1200u);
  for (size_t row = 0; row < 1200; ++row)
    ASSERT_EQ(all["t_us"][row], 1'700'000'000'000'000 + static_cast<int64_t>(row) * 1'000'000);
}

TEST_F(ApiTest, AReducedHistoryHidesNoPeak) {
  const json all = get("/v1/series/unusual%2Fs3/history?from_us=0&max_points=5000");
  const json few = get("/v1/series/unusual%2Fs3/history?from_us=0&max_points=10");
  EXPECT_LE(few["t_us"].size(), 10u);
  EXPECT_GT(few["bucket_us"], 0);
  const auto most = [](const json& column) {
    double most = -1e300;
    for (const json& value : column)
      if (!value.is_null()) most = std::max(most, value.get<double>());
    return most;
  };
  EXPECT_GT(most(all["value"]), 500);
  EXPECT_EQ(most(few["value_max"]), most(all["value"]));
  EXPECT_EQ(most(few["score"]), most(all["score"]));
}

TEST_F(ApiTest, HistoryRefusesWhatItCannotDraw) {
  const std::string history = "/v1/series/unusual%2Fs3/history";
  EXPECT_EQ(get("/v1/series/unusual%2Fs33/history", 404)["code"], "unknown_series");
  EXPECT_EQ(get(history + "?max_points=9", 400)["code"], "bad_parameter");
  EXPECT_EQ(get(history + "?max_points=ten", 400)["code"], "bad_parameter");
  EXPECT_EQ(get(history + "?from_us=2&to_us=1", 400)["code"], "bad_parameter");
  EXPECT_EQ(get(history + "?features=none", 400)["code"], "bad_parameter");
  EXPECT_EQ(get(history + "?from_us=0&to_us=1000", 410)["code"], "history_gone");
  // The nearest name is offered.
  EXPECT_NE(get("/v1/series/unusual%2Fs33/history", 404)["how_to_mend"].dump().find("unusual/s3"),
            std::string::npos);
}

TEST_F(ApiTest, FeaturesAreThoseOfTheMoment) {
  const int64_t at_us = 1'700'000'000'000'000 + 995 * 1'000'000;
  const json spike = get(fmt::format("/v1/features?view=metric&key=s3&as_of_us={}", at_us));
  EXPECT_EQ(spike["event_us"], at_us);
  std::map<std::string, double> values;
  for (const json& feature : spike["features"]) values[feature["name"]] = feature["value"];
  // Ten rows of the last ten seconds, four of them in the spike.
  EXPECT_EQ(values.at("n_10s"), 10);
  EXPECT_GT(values.at("top_10s"), 500);
  EXPECT_GT(values.at("mean_10s"), 200);
  EXPECT_GT(values.at("excess"), 100);
  const json before =
      get(fmt::format("/v1/features?view=metric&key=s3&as_of_us={}", at_us - 5'000'000));
  for (const json& feature : before["features"]) {
    if (feature["name"] != "top_10s") continue;
    EXPECT_LT(feature["value"], 100);
  }
  double sum = 0;
  for (const json& member : spike["score"]["members"]) sum += member["contribution"].get<double>();
  EXPECT_NEAR(sum, spike["score"]["value"].get<double>(), 1e-4);
}

TEST_F(ApiTest, FeaturesRefuseWhatIsNotKnown) {
  EXPECT_EQ(get("/v1/features?view=metrik&key=s3", 404)["code"], "unknown_view");
  EXPECT_EQ(get("/v1/features?view=metric&key=s99", 404)["code"], "unknown_key");
  EXPECT_EQ(get("/v1/features?view=metric", 400)["code"], "missing_field");
  EXPECT_EQ(get("/v1/features?view=metric&key=s3&as_of_us=5", 410)["code"], "history_gone");
}

TEST_F(ApiTest, OnlyItsOwnNamesAndOriginAreAnswered) {
  const std::string own = fmt::format("127.0.0.1:{}", app_->port());
  for (const char* const path : {"/v1/status", "/", "/v1/nothing"}) {
    const Answered host = app_->get(path, {{"Host", "evil.example"}});
    EXPECT_EQ(host.status, 403) << path;
    EXPECT_EQ(host.json["code"], "bad_host") << path;
    const Answered origin = app_->get(path, {{"Origin", "http://evil.example"}});
    EXPECT_EQ(origin.status, 403) << path;
    EXPECT_EQ(origin.json["code"], "bad_origin") << path;
  }
  EXPECT_EQ(app_->get("/v1/status", {{"Origin", "null"}}).status, 403);
  EXPECT_EQ(app_->get("/v1/status", {{"Origin", "http://" + own}}).status, 200);
  EXPECT_EQ(app_->get("/v1/status", {{"Host", "LOCALHOST:" + std::to_string(app_->port())}}).status,
            200);
  EXPECT_EQ(app_->get("/v1/status", {{"Host", "quickwater.example"}}).status, 200);
  EXPECT_EQ(app_->get("/v1/status", {{"Host", "localhost:1"}}).status, 403);
}

TEST_F(ApiTest, MethodsAndPathsThatAreNotThereAreNamed) {
  const Answered wrong = app_->call("PUT", "/v1/status");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.json["code"], "method_not_allowed");
  EXPECT_EQ(differences(example_of("error"), wrong.json), Faults());
  EXPECT_EQ(get("/v1/nothing", 404)["code"], "unknown_path");
  EXPECT_EQ(get("/v1/series/unusual/s3/history", 404)["code"], "unknown_path");
  EXPECT_EQ(app_->call("POST", "/v1/nothing").json["code"], "unknown_path");
}

TEST_F(ApiTest, AlertsAndTimelineHaveEveryKeyOfTheDocument) {
  ASSERT_TRUE(app_->wait([&] { return get("/v1/alerts")["alerts"].size() == 10; }));
  EXPECT_EQ(differences(example_of("alerts"), get("/v1/alerts")), Faults());
  // The example's entry is of an action: `ref` names an alert and a series.
  EXPECT_EQ(differences(example_of("timeline"), get("/v1/timeline?kinds=alert")), Faults());
}

// The generator's spikes begin at row 992 of each series.
TEST_F(ApiTest, AnAlertKeepsWhatWasAtItsOpening) {
  ASSERT_TRUE(app_->wait([&] { return get("/v1/alerts")["alerts"].size() == 10; }));
  const json list = get("/v1/alerts?state=resolved");
  ASSERT_EQ(list["alerts"].size(), 10u);
  for (const json& alert : list["alerts"]) {
    EXPECT_EQ(alert["began_us"], 1'700'000'992'000'000) << alert["id"];
    EXPECT_EQ(alert["opened_us"], 1'700'000'994'000'000);
    EXPECT_GT(alert["value"], 500);
    EXPECT_EQ(alert["severity"], "critical");
    EXPECT_EQ(alert["model"], "anomaly");
    EXPECT_GE(alert["score_max"], alert["score"]);
    EXPECT_EQ(alert["recovered_after_s"],
              (alert["resolved_us"].get<double>() - alert["opened_us"].get<double>()) / 1e6);
    std::map<std::string, json> features;
    for (const json& feature : alert["features"]) features[feature["name"]] = feature;
    EXPECT_EQ(features.at("n_10s")["value"], 10);
    EXPECT_EQ(features.at("mean_10s")["aggregate"], "mean");
    EXPECT_EQ(features.at("mean_10s")["window_us"], 10'000'000);
    EXPECT_EQ(get("/v1/alerts/" + alert["id"].get<std::string>()), alert);
  }
  // The series' chart knows of it.
  const json history = get("/v1/series/unusual%2Fs3/history?from_us=0&to_us=1700001000000000");
  EXPECT_EQ(history["alerts"].size(), 1u);
}

TEST_F(ApiTest, AlertsAndTimelineArePagedWithoutGapOrOverlap) {
  ASSERT_TRUE(app_->wait([&] { return get("/v1/alerts")["alerts"].size() == 10; }));
  std::vector<std::string> ids;
  std::string next;
  do {
    const json page = get("/v1/alerts?limit=4" + (next.empty() ? "" : "&before=" + next));
    for (const json& alert : page["alerts"]) ids.push_back(alert["id"]);
    next = page["next"].is_null() ? "" : page["next"].get<std::string>();
  } while (!next.empty());
  EXPECT_EQ(ids.size(), 10u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 10u);

  const json whole = get("/v1/timeline?limit=500");
  EXPECT_TRUE(whole["next"].is_null());
  std::vector<json> entries;
  json before = nullptr;
  do {
    const json page =
        get("/v1/timeline?limit=4" + (before.is_null() ? "" : "&before=" + before.dump()));
    EXPECT_FALSE(page["entries"].empty());
    for (const json& entry : page["entries"]) entries.push_back(entry);
    before = page["next"];
  } while (!before.is_null());
  EXPECT_EQ(json(entries), whole["entries"]);
  for (size_t at = 1; at < entries.size(); ++at)
    EXPECT_LT(entries[at]["id"], entries[at - 1]["id"]);
  const json opened = get("/v1/timeline?kinds=alert&limit=500");
  EXPECT_EQ(opened["entries"].size(), 20u);  // 10 opened, 10 resolved
  const json newer = get("/v1/timeline?after=" + entries[3]["id"].dump());
  EXPECT_EQ(newer["entries"].size(), 3u);
}

TEST_F(ApiTest, BadQuestionsAboutAlertsAndTimelineAreRefused) {
  EXPECT_EQ(get("/v1/alerts/none", 404)["code"], "unknown_alert");
  EXPECT_EQ(get("/v1/alerts?before=none", 404)["code"], "unknown_alert");
  EXPECT_EQ(get("/v1/alerts?state=half", 400)["code"], "bad_parameter");
  EXPECT_EQ(get("/v1/alerts?limit=501", 400)["code"], "bad_parameter");
  EXPECT_EQ(get("/v1/timeline?limit=0", 400)["code"], "bad_parameter");
  EXPECT_EQ(get("/v1/timeline?before=-1", 400)["code"], "bad_parameter");
}

TEST_F(ApiTest, ThePageHasItsTokenAndItsPolicy) {
  const std::string token = app_->token();
  EXPECT_EQ(token.size(), 64u);
  EXPECT_EQ(app_->get("/").response.body.find("__QUICKWATER_TOKEN__"), std::string::npos);
  EXPECT_EQ(app_->get("/assets/none.js").status, 404);
  EXPECT_EQ(app_->get("/index.html").status, 404);
}

}  // namespace
}  // namespace qw::test
