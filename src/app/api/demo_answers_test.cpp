// Aim: the calls that start and end an incident answer as docs/reference/api.md says.
// Method: real loads behind the answers; a reply that keeps what it is given.
#include "app/api/demo_answers.h"

#include <gtest/gtest.h>

#include <future>

namespace qw::app {
namespace {

class KeptReply final : public net::HttpReply {
 public:
  void send(net::HttpResponse response) override { given.set_value(std::move(response)); }
  std::shared_ptr<net::HttpStream> start_stream(int, std::string, net::Headers) override {
    return nullptr;
  }
  std::promise<net::HttpResponse> given;
};

struct Answer {
  int status = 0;
  Json body;
};

Answer call(const DemoAnswers& answers, const std::string& method, const std::string& body = "") {
  net::HttpRequest request;
  request.method = method;
  request.path = "/v1/demo/incident";
  request.body = body;
  const auto reply = std::make_shared<KeptReply>();
  auto given = reply->given.get_future();
  if (method == "POST")
    answers.start(request, reply);
  else
    answers.stop(request, reply);
  if (given.wait_for(std::chrono::seconds(60)) != std::future_status::ready) return {};
  const net::HttpResponse response = given.get();
  return {response.status, Json::parse(response.body)};
}

DemoAnswers answers_with_loads() {
  Incidents::Options options;
  options.program = {QUICKWATER_INCIDENT_PROGRAM};
  DemoAnswers answers;
  answers.use(DemoIncidents::make(options, real_clock(), "k3y", [](const store::IncidentBody&) {}));
  return answers;
}

TEST(DemoAnswers, OneIncidentFromItsStartToItsEnd) {
  const DemoAnswers answers = answers_with_loads();
  EXPECT_EQ(answers.status()["enabled"], true);
  EXPECT_EQ(answers.status()["kinds"].dump(), R"(["cpu","memory","disk"])");
  EXPECT_TRUE(answers.status()["incident"].is_null());
  EXPECT_EQ(call(answers, "DELETE").body["code"], "no_incident");

  const Answer begun = call(answers, "POST", R"({"kind": "cpu", "seconds": 120})");
  EXPECT_EQ(begun.status, 202);
  EXPECT_EQ(begun.body["state"], "running");
  EXPECT_EQ(begun.body["ends_us"].get<int64_t>() - begun.body["started_us"].get<int64_t>(),
            120'000'000);
  EXPECT_EQ(answers.status()["incident_running"], true);
  EXPECT_EQ(answers.status()["incident"]["id"], begun.body["id"]);
  const Answer second = call(answers, "POST", R"({"kind": "disk"})");
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.body["code"], "incident_running");

  const Answer over = call(answers, "DELETE");
  EXPECT_EQ(over.status, 200);
  EXPECT_EQ(over.body["state"], "stopped") << "answered once it is over";
  EXPECT_EQ(answers.status()["incident_running"], false);
}

TEST(DemoAnswers, WrongWishesAreRefused) {
  const DemoAnswers answers = answers_with_loads();
  for (const auto& [body, code] : std::vector<std::pair<const char*, const char*>>{
           {"", "bad_json"},
           {"{}", "missing_field"},
           {R"({"kind": 3})", "bad_parameter"},
           {R"({"kind": "gpu"})", "bad_parameter"},
           {R"({"kind": "cpu", "seconds": 4})", "bad_parameter"},
           {R"({"kind": "cpu", "seconds": 121})", "bad_parameter"},
           {R"({"kind": "cpu", "seconds": 1e300})", "bad_parameter"},
           {R"({"kind": "cpu", "seconds": "10"})", "bad_parameter"}}) {
    const Answer refused = call(answers, "POST", body);
    EXPECT_EQ(refused.status, 400) << body;
    EXPECT_EQ(refused.body["code"], code) << body;
  }
  EXPECT_EQ(answers.status()["incident_running"], false);
}

TEST(DemoAnswers, OutsideTheDemoEveryChangeIsRefused) {
  const DemoAnswers none;
  EXPECT_EQ(none.status()["enabled"], false);
  EXPECT_EQ(none.status()["kinds"].size(), 0u);
  for (const char* const method : {"POST", "DELETE"}) {
    const Answer refused = call(none, method, R"({"kind": "cpu"})");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.body["code"], "demo_disabled");
  }
}

}  // namespace
}  // namespace qw::app
