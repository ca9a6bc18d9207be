// Aim: a training asked for through the API is told from the wish to the version that serves: in
// the models, on the stream and in the timeline; what cannot be done is refused with the reason.
// Method: an application over generated events with known spikes, labelled by incidents in its
// journal; its detector's threshold is set so high that any other finds more.
#include <gtest/gtest.h>

#include "api_app.h"
#include "api_listener.h"
#include "api_shape.h"

namespace qw::test {
namespace {

using nlohmann::json;

constexpr const char* kRetrain = "/v1/models/anomaly/retrain";
constexpr const char* kAsked = R"({"reason":"to see"})";

class ApiLearningTest : public ::testing::Test {
 protected:
  void begin(std::vector<app::Gate> gate = {}) {
    app::AppFile file = flow_app();
    file.models[0].settings = {{{"threshold", {9, 9}}, 80.0, {9, 9}}};
    app::Training training;
    training.name = {"now", {12, 3}};
    training.model = {"anomaly", {12, 3}};
    training.label_incidents = true;
    training.labels_at_least = 5;
    training.search_trials = 3;
    training.search_seconds = 3600;
    training.held_out = 0.3;
    training.gate = std::move(gate);
    file.training.push_back(training);
    app_ = std::make_unique<ApiApp>(folder_.path(), 20'000, file, app::StreamLimits(), 250);
    ASSERT_TRUE(app_->wait_until_finished());
  }
  // Labels of the first `count` spikes.
  void label(int64_t count) {
    for (int64_t spike = 0; spike < count; ++spike) {
      store::IncidentBody incident;
      incident.kind = store::IncidentBody::kEnded;
      incident.id = fmt::format("inc-{}", spike);
      incident.load = "cpu";
      incident.state = "ended";
      incident.started_us = GeneratedOptions().first_us + (243 + spike * 250) * int64_t{1'000'000};
      incident.ends_us = incident.started_us + 8'000'000;
      app_->runtime().note(incident);
    }
    ASSERT_TRUE(app_->wait([&] { return model()["labels"]["total"] == count; }));
  }
  json model() { return app_->get("/v1/models").json["models"][0]; }
  json version(const std::string& number) {
    const json all = model()["versions"];
    for (const json& one : all)
      if (one["version"] == number) return one;
    return nullptr;
  }
  // Entries of these kinds, the oldest first, as "kind phase".
  std::vector<std::string> told(const std::string& kinds) {
    std::vector<std::string> told;
    const json entries = app_->get("/v1/timeline?limit=500&kinds=" + kinds).json["entries"];
    for (const json& entry : entries)
      told.insert(told.begin(),
                  entry["kind"].get<std::string>() + " " + entry["phase"].get<std::string>());
    return told;
  }
  json wait_for_end() {
    EXPECT_TRUE(app_->wait([&] {
      const json runs = model()["training"];
      return !runs.empty() && !runs[0]["ended_us"].is_null();
    }));
    return model()["training"][0];
  }

  DataFolder folder_{"learning"};
  std::unique_ptr<ApiApp> app_;
};

TEST_F(ApiLearningTest, ATrainingIsToldFromTheWishToTheVersionThatServes) {
  begin();
  label(8);
  Listener listener(app_->port(), "");
  EXPECT_EQ(listener.next().name, "hello");
  const Answered asked = app_->call("POST", kRetrain, kAsked);
  ASSERT_EQ(asked.status, 202) << asked.response.body;
  const json example = {{"run", example_of("models")["models"]["models"][0]["training"][0]}};
  EXPECT_EQ(differences(example, asked.json), std::vector<std::string>());
  EXPECT_EQ(asked.json["trigger"], "person");
  EXPECT_EQ(asked.json["reason"], "to see");
  const Answered second = app_->call("POST", kRetrain, kAsked);
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.json["code"], "training_running");

  const json run = wait_for_end();
  EXPECT_EQ(run["state"], "published") << run;
  EXPECT_EQ(run["run_id"], asked.json["run_id"]);
  EXPECT_EQ(run["trials_done"], 3);
  EXPECT_GT(run["best"], 0);
  EXPECT_EQ(run["version"], "1");
  ASSERT_TRUE(app_->wait([&] { return version("1")["state"] == "champion"; })) << model();
  EXPECT_EQ(model()["champion"], "1");
  EXPECT_EQ(version("1")["lineage"]["run_id"], run["run_id"]);
  EXPECT_EQ(differences(example_of("models"), app_->get("/v1/models").json),
            std::vector<std::string>());

  const std::vector<std::string> steps = {"training started",  "model published",
                                          "training finished", "model warming",
                                          "model warmed",      "model swapped"};
  ASSERT_TRUE(app_->wait([&] { return told("training,model").size() == steps.size(); }));
  EXPECT_EQ(told("training,model"), steps);
  const json entries = app_->get("/v1/timeline?kinds=training,model").json["entries"];
  for (const json& entry : entries) {
    EXPECT_EQ(entry["ref"].value("model", ""), "anomaly") << entry;
    if (entry["kind"] == "training" || entry["phase"] == "published") {
      EXPECT_EQ(entry["ref"].value("run_id", ""), run["run_id"]) << entry;
    }
    if (entry["phase"] != "started") {
      EXPECT_EQ(entry["ref"].value("version", ""), "1") << entry;
    }
  }
  // Who listens hears of the run, of its end, and of the version that serves.
  std::vector<std::string> heard;
  for (json last; last["champion"] != "1";) {
    last = listener.next("model").data;
    ASSERT_TRUE(last.is_object());
    EXPECT_EQ(differences({{"model", example_of("models")["models"]["models"][0]}}, last),
              std::vector<std::string>());
    heard.push_back(last["training"].empty() ? "" : last["training"][0]["state"]);
  }
  EXPECT_EQ(heard.back(), "published");

  // And back.
  const Answered back = app_->call("POST", "/v1/models/anomaly/rollback", kAsked);
  ASSERT_EQ(back.status, 202) << back.response.body;
  EXPECT_EQ(back.json, (json{{"model", "anomaly"}, {"from", "1"}, {"to", "0"}}));
  EXPECT_TRUE(app_->wait([&] { return model()["champion"] == "0"; }));
  EXPECT_TRUE(app_->wait([&] { return told("model").back() == "model rolled_back"; }))
      << json(told("model"));
}

TEST_F(ApiLearningTest, AVersionThatIsNotGoodEnoughIsRefusedWithItsReason) {
  app::Gate out_of_reach;
  out_of_reach.metric = {"held_out", {12, 9}};
  out_of_reach.offset = 100;
  out_of_reach.strict = true;
  begin({out_of_reach});
  label(8);
  ASSERT_EQ(app_->call("POST", kRetrain, kAsked).status, 202);
  const json run = wait_for_end();
  EXPECT_EQ(run["state"], "refused");
  EXPECT_NE(run["message"].dump().find("the gate asks for held_out > 100.00"), std::string::npos)
      << run;
  EXPECT_EQ(version("1")["state"], "refused");
  EXPECT_EQ(version("1")["reason"], run["message"]);
  EXPECT_EQ(model()["champion"], "0");
  const std::vector<std::string> steps = {"training started", "model refused", "training refused"};
  ASSERT_TRUE(app_->wait([&] { return told("training,model").size() == steps.size(); }));
  EXPECT_EQ(told("training,model"), steps);
}

TEST_F(ApiLearningTest, WhatCannotBeTrainedIsRefused) {
  begin();
  label(3);
  const Answered few = app_->call("POST", kRetrain, kAsked);
  ASSERT_EQ(few.status, 409);
  EXPECT_EQ(few.json["code"], "too_few_labels");
  EXPECT_EQ(few.json["message"], "there are 3 labels; 5 are needed");
  EXPECT_EQ(differences(example_of("error"), few.json), std::vector<std::string>());
  const Answered nobody = app_->call("POST", "/v1/models/nobody/retrain", kAsked);
  ASSERT_EQ(nobody.status, 404);
  EXPECT_EQ(nobody.json["code"], "unknown_model");
  EXPECT_EQ(app_->call("POST", kRetrain, "now").json["code"], "bad_json");
  const Answered nothing = app_->call("POST", "/v1/models/anomaly/rollback", kAsked);
  EXPECT_EQ(nothing.status, 409);
  EXPECT_EQ(nothing.json["code"], "no_rollback");
  EXPECT_EQ(app_->call("POST", kRetrain, R"({"reason":7})").json["code"], "bad_parameter");
  EXPECT_EQ(app_->call("POST", kRetrain, kAsked, {{"X-Quickwater-Token", "x"}}).json["code"],
            "bad_token");
  EXPECT_EQ(app_->get(kRetrain).status, 405);
  EXPECT_TRUE(model()["training"].empty());
}

}  // namespace
}  // namespace qw::test
