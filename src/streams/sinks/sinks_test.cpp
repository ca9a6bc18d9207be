// Aim: what leaves is what the receiver's contract says, and each answer means what it should.
// Method: a real HTTP server that records requests and answers by a script; a signature computed by
// another program; the real Alertmanager where QUICKWATER_ALERTMANAGER names one.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/net/http.h"
#include "streams/sinks/alertmanager/sink.h"
#include "streams/sinks/log/sink.h"
#include "streams/sinks/webhook/sink.h"

namespace qw::streams {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kNowUs = 1'700'000'000'000'000;

class ReceiverTest : public testing::Test {
 protected:
  ReceiverTest() {
    auto server = net::listen_http({});
    EXPECT_TRUE(server.ok());
    server_ = std::move(server).value();
    server_->route("POST", "/*", [this](const net::HttpRequest& request, auto reply) {
      std::lock_guard lock(mutex_);
      requests_.push_back(request);
      net::HttpResponse answer;
      if (!answers_.empty()) {
        answer = answers_.front();
        answers_.pop_front();
      }
      if (answer.status != 0) reply->send(answer);
      if (answer.status == 0) held_.push_back(reply);  // no answer in time
    });
    server_->start();
  }
  ~ReceiverTest() override { server_->stop(); }

  std::string url(const char* path = "/hook") const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + path;
  }
  static Delivery send(Sink& sink, const std::string& body, const char* action = "act-1") {
    const PendingRow row{Seq{1}, {action, kNowUs, "", body}};
    return sink.deliver({&row, 1}).next;
  }
  void answer(int status, net::Headers headers = {}) {
    net::HttpResponse response;
    response.status = status;
    response.headers = std::move(headers);
    answers_.push_back(response);
  }

  ManualClock clock_{kNowUs};
  std::mutex mutex_;
  std::vector<net::HttpRequest> requests_;
  std::deque<net::HttpResponse> answers_;
  std::vector<std::shared_ptr<net::HttpReply>> held_;
  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(ReceiverTest, WebhookSignsAndNamesTheAction) {
  auto sink = *make_webhook_sink({url(), "s3cret", {{"X-Team", "ops"}}, 5000}, clock_);
  EXPECT_TRUE(std::holds_alternative<Delivered>(send(*sink, R"({"a":1})")));
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].body, R"({"a":1})");
  EXPECT_EQ(requests_[0].header("Idempotency-Key"), "act-1");
  EXPECT_EQ(requests_[0].header("Content-Type"), "application/json");
  EXPECT_EQ(requests_[0].header("X-Team"), "ops");
  // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
  EXPECT_EQ(requests_[0].header("X-Quickwater-Signature"),
            "t=1700000000,v1=1698a50bc74d1ff1db85c4e0a5297c2ad9fdba245d5737cdb789e4cc6e098940");
}

TEST_F(ReceiverTest, WebhookReadsAnswers) {
  auto sink = *make_webhook_sink({url(), "", {}, 5000}, clock_);
  for (const int status : {200, 201, 204, 299}) {
    answer(status);
    EXPECT_TRUE(std::holds_alternative<Delivered>(send(*sink, "{}"))) << status;
  }
  for (const int status : {408, 425, 429, 500, 502, 503}) {
    answer(status);
    EXPECT_TRUE(std::holds_alternative<Retry>(send(*sink, "{}"))) << status;
  }
  for (const int status : {301, 400, 401, 404, 409, 422}) {
    answer(status);
    EXPECT_TRUE(std::holds_alternative<Refused>(send(*sink, "{}"))) << status;
  }
  EXPECT_TRUE(requests_[0].header("X-Quickwater-Signature").empty());
  answer(429, {{"Retry-After", "12"}});
  EXPECT_EQ(std::get<Retry>(send(*sink, "{}")).after_ms, 12'000);
  answer(503, {{"retry-after", "Tue, 14 Nov 2023 22:13:30 GMT"}});  // 1700000010
  EXPECT_EQ(std::get<Retry>(send(*sink, "{}")).after_ms, 10'000);
  clock_.set_wall_us(0);  // a clock that is wrong has no part in it
  answer(503, {{"Retry-After", "Tue, 14 Nov 2023 22:13:30 GMT"},
               {"Date", "Tue, 14 Nov 2023 22:13:23 GMT"}});
  EXPECT_EQ(std::get<Retry>(send(*sink, "{}")).after_ms, 7'000);
  answer(503, {{"Retry-After", "soon"}});
  EXPECT_EQ(std::get<Retry>(send(*sink, "{}")).after_ms, 0);
}

TEST_F(ReceiverTest, WebhookTriesAgainWhenNobodyAnswers) {
  auto sink = *make_webhook_sink({url(), "", {}, 100}, clock_);
  answer(0);
  EXPECT_TRUE(std::holds_alternative<Retry>(send(*sink, "{}")));
  const std::string gone = url();
  server_->stop();
  auto away = *make_webhook_sink({gone, "", {}, 1000}, clock_);
  EXPECT_TRUE(std::holds_alternative<Retry>(send(*away, "{}")));
}

TEST(Webhook, RefusesUrlsWithoutRepeatingThem) {
  const auto made = make_webhook_sink({"token:hunter2", "", {}, 5000}, real_clock());
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().to_string(), testing::Not(HasSubstr("hunter2")));
}

constexpr const char* kFiring =
    R"({"alert":"CpuHigh","state":"firing","starts_at_us":1699999999000000,
  "labels":{"series":"cpu","severity":"page","n":3},"annotations":{"why":"score 0.99"}})";
constexpr const char* kResolved = R"({"alert":"CpuHigh","state":"resolved",
  "labels":{"series":"cpu","severity":"page","n":3},"ends_at_us":1700000100000000})";

TEST_F(ReceiverTest, AlertmanagerSinkSendsAgainBeforeTheEndAndResolves) {
  const AlertmanagerSinkConfig config{url("/"), 5000, 240'000};
  auto sink = *make_alertmanager_sink(config, clock_);
  ASSERT_TRUE(sink->open("").ok());
  EXPECT_TRUE(std::holds_alternative<Delivered>(send(*sink, kFiring)));
  ASSERT_EQ(requests_.size(), 1u);
  EXPECT_EQ(requests_[0].path, "/api/v2/alerts");
  EXPECT_EQ(json::parse(requests_[0].body), json::parse(R"([{
    "labels":{"alertname":"CpuHigh","series":"cpu","severity":"page","n":"3"},
    "annotations":{"why":"score 0.99"},
    "startsAt":"2023-11-14T22:13:19.000000Z","endsAt":"2023-11-14T22:17:20.000000Z"}])"));

  // The next process goes on sending it.
  const std::string saved = *sink->state();
  sink = *make_alertmanager_sink(config, clock_);
  ASSERT_TRUE(sink->open(saved).ok());
  const auto tick_after = [&](int64_t passed_us) {
    clock_.advance_us(passed_us);
    ASSERT_TRUE(sink->tick(clock_.wall_us()).ok());
  };
  tick_after(1'000'000);
  tick_after(49'000'000);  // not yet again
  tick_after(20'000'000);
  ASSERT_EQ(requests_.size(), 3u);
  EXPECT_EQ(json::parse(requests_[2].body)[0]["endsAt"], "2023-11-14T22:18:30.000000Z");

  answer(503);
  EXPECT_TRUE(std::holds_alternative<Retry>(send(*sink, kResolved)));
  EXPECT_TRUE(std::holds_alternative<Delivered>(send(*sink, kResolved)));
  EXPECT_EQ(json::parse(requests_.back().body)[0]["endsAt"], "2023-11-14T22:15:00.000000Z");
  EXPECT_EQ(*sink->state(), "{}");
  const size_t before = requests_.size();
  tick_after(900'000'000);
  EXPECT_EQ(requests_.size(), before);
  EXPECT_TRUE(std::holds_alternative<Refused>(send(*sink, "[]")));
  EXPECT_TRUE(std::holds_alternative<Refused>(send(*sink, "no json")));
}

TEST_F(ReceiverTest, AlertmanagerHearsOfItInTimeWhenTheClockIsSet) {
  auto sink = *make_alertmanager_sink({url("/"), 5000, 240'000}, clock_);
  ASSERT_TRUE(sink->open("").ok());
  send(*sink, kFiring);
  ASSERT_TRUE(sink->tick(clock_.wall_us()).ok());
  for (const int64_t wall_us : {kNowUs - 86'400'000'000, kNowUs + 86'400'000'000}) {
    clock_.set_wall_us(wall_us);
    const size_t before = requests_.size();
    ASSERT_TRUE(sink->tick(clock_.wall_us()).ok());
    EXPECT_EQ(requests_.size(), before) << "no minute has passed";
    clock_.advance_us(61'000'000);
    ASSERT_TRUE(sink->tick(clock_.wall_us()).ok());
    EXPECT_EQ(requests_.size(), before + 1) << "or Alertmanager would end it";
  }
}

TEST_F(ReceiverTest, AlertmanagerSinkEndsTheAlertThatAHigherSeverityReplaces) {
  auto sink = *make_alertmanager_sink({url("/"), 5000, 240'000}, clock_);
  ASSERT_TRUE(sink->open("").ok());
  const auto row = [](const char* state, const char* severity, const char* more) {
    return fmt::format(R"({{"alert":"A","state":"{}","labels":{{"key":"k","severity":"{}"}}{}}})",
                       state, severity, more);
  };
  send(*sink, row("firing", "warning", ""));
  send(*sink, row("firing", "critical", R"(,"replaces":{"key":"k","severity":"warning"})"));
  const json both = json::parse(requests_.at(1).body);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0]["labels"]["severity"], "critical");
  EXPECT_EQ(both[1]["labels"], json::parse(requests_.at(0).body)[0]["labels"]);
  EXPECT_EQ(both[1]["endsAt"], "2023-11-14T22:13:20.000000Z") << "now";
  const json firing = json::parse(*sink->state());
  ASSERT_EQ(firing.size(), 1u) << "the warning is not sent again for ever";
  EXPECT_NE(firing.begin().key().find("critical"), std::string::npos);
  send(*sink, row("resolved", "critical", ""));
  EXPECT_EQ(*sink->state(), "{}");
}

TEST(Alertmanager, TheRealOneTakesOurAlerts) {
  const char* address = std::getenv("QUICKWATER_ALERTMANAGER");
  if (address == nullptr) GTEST_SKIP() << "QUICKWATER_ALERTMANAGER=host:port is not set";
  const std::string base = std::string("http://") + address;
  const auto count = [&](const char* filter) {
    const auto answer = net::send_http(
        "GET", base + "/api/v2/alerts?filter=series%3Dsinks-test" + filter, "", {}, {});
    EXPECT_TRUE(answer.ok() && answer->status == 200);
    return json::parse(answer->body).size();
  };
  auto sink = *make_alertmanager_sink({base, 5000, 240'000}, real_clock());
  ASSERT_TRUE(sink->open("").ok());
  const auto send = [&](const char* state) {
    const json body = {{"alert", "Test"}, {"state", state}, {"labels", {{"series", "sinks-test"}}}};
    const PendingRow row{Seq{1}, {"a", 0, "", body.dump()}};
    return sink->deliver({&row, 1}).delivered;
  };
  EXPECT_EQ(send("firing"), 1u);
  EXPECT_EQ(count("&active=true"), 1u);
  EXPECT_TRUE(sink->tick(real_clock().wall_us()).ok());
  EXPECT_EQ(send("resolved"), 1u);
  EXPECT_EQ(count("&active=true"), 0u);
}

TEST(LogSink, WritesLinesAndEndsABrokenOne) {
  const auto path = std::filesystem::path(testing::TempDir()) / "log_sink.jsonl";
  std::filesystem::remove(path);
  std::ofstream(path) << "{\"cut";
  auto sink = *make_log_sink({path.string()});
  ASSERT_TRUE(sink->open("").ok());
  const std::vector<PendingRow> rows = {{Seq{1}, {"a1", 0, "", R"({"x":1})"}},
                                        {Seq{2}, {"a2", 0, "", "{}"}}};
  EXPECT_EQ(sink->deliver(rows).delivered, 2u);
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), "{\"cut\n{\"action_id\":\"a1\",\"x\":1}\n{\"action_id\":\"a2\"}\n");
  std::filesystem::remove(path);
  auto nowhere = *make_log_sink({"/nonexistent/folder/x"});
  EXPECT_EQ(nowhere->open("").error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace qw::streams
