// Aim: verdicts are durable, need the token, and survive a restart with alerts and timeline under
// the same ids; who listens hears of them.
// Method: an application with an API of its own for each test; answers before and after a restart
// are compared whole; the stream is read from a raw socket.
#include <gtest/gtest.h>

#include <algorithm>

#include "api_app.h"
#include "api_listener.h"
#include "api_shape.h"

namespace qw::test {
namespace {

using nlohmann::json;

constexpr uint64_t kEvents = 10'050;  // the spike of row 992, and its end

class ApiStoryTest : public ::testing::Test {
 protected:
  void begin(app::StreamLimits streams = {}) {
    app_ = std::make_unique<ApiApp>(folder_.path(), kEvents, flow_app(), streams);
    ASSERT_TRUE(app_->wait_until_finished());
    // Each with what was usual before it, which is found a moment later.
    ASSERT_TRUE(app_->wait([&] {
      const json all = alerts();
      return all.size() == 10 && std::none_of(all.begin(), all.end(), [](const json& alert) {
               return alert["usual_mid"].is_null();
             });
    }));
  }
  json alerts() { return app_->get("/v1/alerts").json["alerts"]; }
  std::string path_of_verdict(size_t alert) {
    return "/v1/alerts/" + alerts()[alert]["id"].get<std::string>() + "/verdict";
  }

  DataFolder folder_{::testing::UnitTest::GetInstance()->current_test_info()->name()};
  std::unique_ptr<ApiApp> app_;
};

TEST_F(ApiStoryTest, AVerdictAndEverythingElseSurvivesARestart) {
  begin();
  const std::string path = path_of_verdict(2);
  const Answered judged =
      app_->call("POST", path, R"({"verdict":"false_alarm","note":"backup \u00e9"})");
  ASSERT_EQ(judged.status, 200) << judged.response.body;
  EXPECT_EQ(judged.json["verdict"]["verdict"], "false_alarm");
  EXPECT_EQ(judged.json, alerts()[2]);
  // The last word counts.
  EXPECT_EQ(app_->call("POST", path, R"({"verdict":"real"})").json["verdict"]["verdict"], "real");
  EXPECT_EQ(app_->get("/v1/alerts").json["counts"]["unjudged"], 9);
  const json before = alerts();
  const json timeline = app_->get("/v1/timeline?limit=500").json["entries"];
  EXPECT_EQ(timeline[0]["kind"], "verdict");
  const json history = app_->get("/v1/series/unusual%2Fs3/history?from_us=0").json;
  app_.reset();
  begin();
  EXPECT_EQ(alerts(), before);
  json after = app_->get("/v1/timeline?limit=500").json["entries"];
  std::erase_if(after.get_ref<json::array_t&>(), [&](const json& entry) {
    return entry["id"] > timeline[0]["id"];  // of this start
  });
  EXPECT_EQ(after, timeline);
  ASSERT_TRUE(app_->wait([&] {
    return app_->get("/v1/series/unusual%2Fs3/history?from_us=0").json["t_us"] == history["t_us"];
  }));
}

// By the generator's formula a calm value lies in 40..61, and so does a mean; spikes lie above 500.
TEST_F(ApiStoryTest, WhatIsUsualComesFromTheRowsBeforeTheAlert) {
  begin();
  const json history = app_->get("/v1/series/unusual%2Fs3/history?from_us=0&max_points=5000").json;
  std::vector<double> calm;
  for (size_t row = 0; row < 992; ++row) calm.push_back(history["value"][row]);
  std::sort(calm.begin(), calm.end());
  json alert;
  const json all = alerts();
  for (const json& one : all)
    if (one["series_id"] == "unusual/s3") alert = one;
  // 200 of 992 rows: within a few percent of the rank.
  EXPECT_GE(alert["usual_low"], calm[10]);
  EXPECT_LE(alert["usual_low"], calm[100]);
  EXPECT_GE(alert["usual_mid"], calm[450]);
  EXPECT_LE(alert["usual_mid"], calm[540]);
  EXPECT_GE(alert["usual_high"], calm[890]);
  EXPECT_LE(alert["usual_high"], calm[985]);
  for (const json& feature : alert["features"])
    if (feature["name"] == "top_10s") {
      EXPECT_LT(feature["usual_high"], 62);
      EXPECT_GT(feature["value"], 500);
    }
  // As of a moment after the spike, what was in the alert does not count.
  const json later = app_->get("/v1/features?view=metric&key=s3").json;
  for (const json& feature : later["features"])
    if (feature["name"] == "mean_10s") {
      EXPECT_LT(feature["usual_high"], 250) << feature;
      EXPECT_GT(feature["usual_low"], 39);
    }
}

TEST_F(ApiStoryTest, TheTimelineTellsOfTheProgramItself) {
  begin();
  app_.reset();
  begin();
  // A log of its own, so that the running one does not look at the same time.
  app::Runtime& runtime = app_->runtime();
  app::SystemLog log(runtime.plan(), runtime.store(), runtime.events(), runtime.journal());
  streams::SourceStatus source;
  store::Committer::Status disk;
  log.look(0, source);
  log.look(disk);
  source.state = streams::SourceState::kWaiting;
  source.trouble = Error{ErrorCode::kUnavailable, "the broker is away", "kafka", ""};
  disk.state = store::CommitState::kDiskFull;
  for (int twice = 0; twice < 2; ++twice) {
    log.look(0, source);
    log.look(disk);
  }
  source.trouble.reset();
  disk.state = store::CommitState::kOk;
  log.look(0, source);
  log.look(disk);
  std::vector<std::string> told;
  const auto read = [&] {
    told.clear();
    const json entries = app_->get("/v1/timeline?kinds=system").json["entries"];
    for (const json& entry : entries)
      told.insert(told.begin(), fmt::format("{} {}", entry["severity"].get<std::string>(),
                                            entry["phase"].get<std::string>()));
    return told.size();
  };
  ASSERT_TRUE(app_->wait([&] { return read() == 7; })) << json(told);
  EXPECT_EQ(told, (std::vector<std::string>{"info started", "info stopped", "info started",
                                            "warning source_failed", "warning disk_full",
                                            "good source_recovered", "good disk_ok"}));
}

TEST_F(ApiStoryTest, ChangesNeedTheTokenAndAGoodBody) {
  begin();
  const std::string path = path_of_verdict(0);
  const std::string body = R"({"verdict":"real"})";
  const auto code = [&](const std::string& where, const std::string& sent,
                        net::Headers headers = {}) {
    const Answered answer = app_->call("POST", where, sent, std::move(headers));
    EXPECT_EQ(differences(example_of("error"), answer.json), std::vector<std::string>());
    return fmt::format("{} {}", answer.status, answer.json.value("code", ""));
  };
  EXPECT_EQ(code(path, body, {{"X-Quickwater-Token", ""}}), "403 bad_token");
  EXPECT_EQ(code(path, body, {{"X-Quickwater-Token", std::string(64, '0')}}), "403 bad_token");
  EXPECT_EQ(code(path, body, {{"X-Quickwater-Token", app_->token().substr(1)}}), "403 bad_token");
  EXPECT_EQ(code(path, body, {{"Origin", "https://evil.example"}}), "403 bad_origin");
  EXPECT_EQ(code(path, "{"), "400 bad_json");
  EXPECT_EQ(code(path, "[]"), "400 bad_json");
  EXPECT_EQ(code(path, "{}"), "400 missing_field");
  EXPECT_EQ(code(path, R"({"verdict":"maybe"})"), "400 bad_parameter");
  EXPECT_EQ(code(path, R"({"verdict":7})"), "400 bad_parameter");
  EXPECT_EQ(code(path, R"({"verdict":"real","note":")" + std::string(501, 'x') + "\"}"),
            "400 bad_parameter");
  EXPECT_EQ(code(path, std::string(17 << 10, ' ')), "413 body_too_large");
  EXPECT_EQ(code("/v1/alerts/none/verdict", body), "404 unknown_alert");
  EXPECT_TRUE(alerts()[0]["verdict"].is_null());
}

TEST_F(ApiStoryTest, WhoListensHearsOfAVerdictAndCanResume) {
  begin();
  Listener listener(app_->port(), "");
  const auto hello = listener.next();
  EXPECT_EQ(hello.name, "hello");
  EXPECT_GT(hello.data["started_us"].get<int64_t>(), 0);
  EXPECT_EQ(differences(example_of("tick"), listener.next("tick").data),
            std::vector<std::string>());
  EXPECT_EQ(differences(example_of("status"), listener.next("status").data),
            std::vector<std::string>());
  ASSERT_EQ(app_->call("POST", path_of_verdict(1), R"({"verdict":"real"})").status, 200);
  const auto entry = listener.next("timeline");
  EXPECT_EQ(entry.data["kind"], "verdict");
  const auto alert = listener.next("alert");
  EXPECT_EQ(alert.data, alerts()[1]);
  // Whoever had heard hello alone hears both again.
  Listener again(app_->port(), "?last_event_id=" + hello.id);
  EXPECT_EQ(again.next().name, "hello");
  EXPECT_EQ(again.next("timeline").data, entry.data);
  EXPECT_EQ(again.next("alert").id, alert.id);
  Listener stranger(app_->port(), "?last_event_id=1");
  EXPECT_EQ(stranger.next().name, "hello");
  EXPECT_EQ(stranger.next().name, "reset");
}

TEST_F(ApiStoryTest, OneStreamTooManyIsRefused) {
  begin({.streams = 1});
  Listener first(app_->port(), "");
  EXPECT_EQ(first.next().name, "hello");
  const Answered second = app_->get("/v1/stream");
  EXPECT_EQ(second.status, 503);
  EXPECT_EQ(second.json["code"], "too_many_streams");
}

}  // namespace
}  // namespace qw::test
