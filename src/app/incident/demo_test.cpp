// Aim: the healing webhook ends the incident on the machine, and nobody else's call does.
// Method: a real server and a real load; the calls are those of the webhook sink, and forgeries.
#include "app/incident/demo.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "streams/sinks/webhook/sink.h"

namespace qw::app {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

// A demo behind a server, and what it told.
class DemoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Incidents::Options options;
    options.program = {QUICKWATER_INCIDENT_PROGRAM};
    demo = DemoIncidents::make(options, real_clock(), "k3y",
                               [this](const store::IncidentBody& incident) {
                                 std::lock_guard lock(mutex);
                                 told.push_back(incident.kind + " " + incident.state);
                               });
    auto listening = net::listen_http({});
    ASSERT_TRUE(listening.ok());
    server = std::move(listening).value();
    demo->add_routes(*server);
    server->start();
  }
  void TearDown() override {
    if (demo) demo->end();
    if (server) server->stop();
  }
  net::HttpResponse post(const std::string& signature, const std::string& body = "{}") {
    const std::string url = own_server("0.0.0.0", server->port()).url + "/v1/demo/heal";
    const auto answer = net::send_http("POST", url, body, {{"X-Quickwater-Signature", signature}},
                                       {.timeout_ms = 60'000});
    EXPECT_TRUE(answer.ok());
    return answer.ok() ? *answer : net::HttpResponse{0, "", "", {}};
  }
  static std::string sign(const std::string& secret, const std::string& body, int64_t ago_s = 0) {
    return streams::webhook_signature(secret, real_clock().wall_us() / kSecondUs - ago_s, body);
  }

  std::mutex mutex;
  std::vector<std::string> told;
  std::shared_ptr<DemoIncidents> demo;
  std::unique_ptr<net::HttpServer> server;
};

TEST_F(DemoTest, ItsOwnWebhookEndsTheIncident) {
  ASSERT_TRUE(demo->start(IncidentKind::kCpu, kIncidentSecondsMax).ok());
  const auto answer = post(sign("k3y", "{}"));
  EXPECT_EQ(answer.status, 200) << answer.body;
  const auto body = nlohmann::json::parse(answer.body);
  EXPECT_EQ(body["incident"]["state"], "healed") << "answered once it is over";
  EXPECT_EQ(body["incident"]["kind"], "cpu");
  EXPECT_EQ(demo->status()->state, IncidentState::kHealed);
  const auto again = post(sign("k3y", "{}"));
  EXPECT_EQ(again.status, 200) << "an alert without an incident is no error";
  EXPECT_TRUE(nlohmann::json::parse(again.body)["incident"].is_null());
  std::lock_guard lock(mutex);
  EXPECT_EQ(told, (std::vector<std::string>{"incident_started running", "incident_ended healed"}));
}

TEST_F(DemoTest, ForgeriesAreRefused) {
  ASSERT_TRUE(demo->start(IncidentKind::kCpu, kIncidentSecondsMax).ok());
  const std::string good = sign("k3y", "{}");
  for (const std::string& forged :
       {std::string(), sign("other", "{}"), sign("k3y", "{} "), sign("k3y", "{}", 3600),
        sign("k3y", "{}", -3600), good.substr(0, good.size() - 1), good + "0",
        std::string("t=abc,v1=00"), std::string("t=99999999999999999999999,v1=")}) {
    const auto answer = post(forged);
    EXPECT_EQ(answer.status, 403) << forged;
    EXPECT_EQ(nlohmann::json::parse(answer.body)["code"], "bad_signature");
  }
  EXPECT_EQ(demo->status()->state, IncidentState::kRunning);
  EXPECT_FALSE(is_signed(sign("", "{}"), "{}", "", real_clock().wall_us())) << "no key, no entry";
}

TEST_F(DemoTest, NothingStartsAfterTheEnd) {
  ASSERT_TRUE(demo->start(IncidentKind::kCpu, kIncidentSecondsMax).ok());
  demo->end();
  EXPECT_EQ(demo->status()->state, IncidentState::kStopped);
  EXPECT_EQ(demo->start(IncidentKind::kCpu, 5).error().code, ErrorCode::kConflict);
  std::lock_guard lock(mutex);
  EXPECT_EQ(told.back(), "incident_ended stopped") << "told before end() returns";
}

TEST(OwnServer, IsReachedByALoopbackNameAndHasANewKeyEachTime) {
  EXPECT_EQ(own_server("0.0.0.0", 81).url, "http://127.0.0.1:81");
  EXPECT_EQ(own_server("::", 82).url, "http://[::1]:82");
  EXPECT_EQ(own_server("10.1.2.3", 83).url, "http://10.1.2.3:83");
  EXPECT_EQ(own_server("::1", 1).secret.size(), 64u);
  EXPECT_NE(own_server("::1", 1).secret, own_server("::1", 1).secret);
}

}  // namespace
}  // namespace qw::app
