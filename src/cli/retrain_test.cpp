// Aim: `quickwater retrain` asks the running application with its token, follows the run, and ends
// with the exit code that scripts branch on.
// Method: a server that answers as docs/reference/api.md says, with the run one step further at
// each look; its address is in a data folder, as a running application leaves it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/net/http.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

using nlohmann::json;

class RetrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("qw_retrain_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    server_ = net::listen_http({}).value();
    server_->route("GET", "/", [](const auto&, const std::shared_ptr<net::HttpReply>& reply) {
      reply->send({200, R"(<meta name="quickwater-token" content="key">)", "text/html", {}});
    });
    server_->route("GET", "/v1/models",
                   [this](const auto&, const std::shared_ptr<net::HttpReply>& reply) {
                     reply->send({200, models().dump(), "application/json", {}});
                   });
    server_->route(
        "POST", "/v1/models/{name}/retrain",
        [this](const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply) {
          asked_ = request.params.at("name") + " " + request.body + " " +
                   std::string(request.header("x-quickwater-token"));
          reply->send({status_, answer_.dump(), "application/json", {}});
        });
    server_->start();
    url_ = "http://127.0.0.1:" + std::to_string(server_->port());
    std::ofstream(folder_ / kControlFile) << url_ << '\n';
  }
  void TearDown() override {
    server_->stop();
    std::filesystem::remove_all(folder_);
  }

  // The server's thread.
  json models() {
    json run = json::object({{"run_id", "run-1"}, {"trials_total", 2}});
    run["trials_done"] = std::min(looks_, 2);
    run["state"] = looks_ < 3 ? "running" : end_;
    if (looks_ >= 3) run.update({{"version", "4"}, {"message", "it is worse"}});
    ++looks_;
    json all = json::array();
    for (const std::string& name : names_)
      all.push_back({{"name", name}, {"champion", "3"}, {"training", json::array({run})}});
    all.push_back({{"name", "rules"}, {"champion", nullptr}, {"training", json::array()}});
    return {{"models", all}};
  }

  int retrain(std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"retrain", "--data", folder_.string()};
    words.insert(words.end(), more.begin(), more.end());
    std::ostringstream out, err;
    const int code = run(words, {out, err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  std::filesystem::path folder_;
  std::unique_ptr<net::HttpServer> server_;
  std::string url_, out_, err_;
  // What the server says; read by its thread between calls of this one.
  std::vector<std::string> names_ = {"odd"};
  std::string end_ = "published";
  int status_ = 202;
  json answer_ = {{"run_id", "run-1"}, {"state", "queued"}};
  std::string asked_;
  int looks_ = 0;
};

TEST_F(RetrainCommand, AsksTheOnlyModelAndTellsTheVersion) {
  EXPECT_EQ(retrain({"--reason", "because"}), kOk) << err_;
  EXPECT_EQ(asked_, R"(odd {"reason":"because"} key)");
  EXPECT_NE(out_.find("published version 4 of 'odd'"), std::string::npos) << out_;
  EXPECT_NE(err_.find("trial 2 of 2"), std::string::npos) << err_;
}

TEST_F(RetrainCommand, ARefusalIsAFailureWithItsReason) {
  end_ = "refused";
  EXPECT_EQ(retrain({"odd"}), kFailed);
  EXPECT_NE(out_.find("refused: it is worse"), std::string::npos) << out_;
  looks_ = 0;
  EXPECT_EQ(retrain({"--json"}), kFailed);
  EXPECT_EQ(json::parse(out_)["state"], "refused");
}

TEST_F(RetrainCommand, NeedsNotWait) {
  EXPECT_EQ(retrain({"--wait", "0"}), kOk);
  EXPECT_EQ(looks_, 1);  // for the model's name
  EXPECT_NE(out_.find("run-1"), std::string::npos) << out_;
}

TEST_F(RetrainCommand, SaysWhatIsWrong) {
  status_ = 409;
  answer_ = {{"code", "too_few_labels"}, {"message", "there are 3 labels; 5 are needed"}};
  EXPECT_EQ(retrain(), kFailed);
  EXPECT_NE(err_.find("there are 3 labels; 5 are needed"), std::string::npos) << err_;
  answer_ = {{"code", "training_running"}, {"message", "a training is under way"}};
  EXPECT_EQ(retrain(), kUnavailable);
  names_ = {"odd", "even"};
  EXPECT_EQ(retrain(), kFailed);
  EXPECT_NE(err_.find("name one of: odd, even"), std::string::npos) << err_;
  EXPECT_EQ(retrain({"rules"}), kFailed);
  EXPECT_NE(err_.find("there is no model 'rules' to train"), std::string::npos) << err_;
  EXPECT_EQ(retrain({"--wait", "-1"}), kUsage);
  server_->stop();
  EXPECT_EQ(retrain(), kUnavailable);
  std::filesystem::remove(folder_ / kControlFile);
  EXPECT_EQ(retrain(), kUnavailable);
  EXPECT_NE(err_.find("no application runs on"), std::string::npos) << err_;
}

}  // namespace
}  // namespace qw::cli
