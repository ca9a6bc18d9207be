// The flow application with its API on a port of its own, and a plain client for it.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/api/api.h"
#include "flow_app.h"

namespace qw::test {

struct Answered {
  int status = 0;
  nlohmann::json json;
  net::HttpResponse response;
};

// One run of the application over a data folder. The source is the file's, or `make_source`.
class ApiApp {
 public:
  explicit ApiApp(const std::string& folder, uint64_t events, app::AppFile file = flow_app(),
                  app::StreamLimits streams = {}, uint64_t spike_every = 1000) {
    plan_ = app::compile_plan(std::move(file)).value();
    server_ = net::listen_http({}).value();
    app::ApiOptions options;
    options.version = "0.0.1";
    options.address = "127.0.0.1";
    options.port = server_->port();
    options.names = {"quickwater.example"};
    options.streams = streams;
    options.tick_us = 50'000;
    api_ = std::make_unique<app::Api>(plan_, real_clock(), metrics_, options);
    app::RuntimeOptions run;
    run.data_folder = folder;
    run.observers = api_->observers();
    run.trainer.seed = 1;  // another seed may search in vain
    GeneratedOptions generated;
    generated.events = events;
    generated.spike_every = spike_every;
    run.make_source = [generated](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<GeneratedSource>(generated));
    };
    runtime_ = app::Runtime::start(plan_, run, real_clock(), metrics_, server_.get()).value();
    api_->start(*runtime_);
    api_->add_routes(*server_);
    server_->start();
  }
  ~ApiApp() { stop(); }
  void stop() {
    runtime_->stop();
    server_->stop();
    api_->stop();
  }

  bool wait_until_finished() {
    return wait([&] { return runtime_->finished(); });
  }
  template <class Condition>
  static bool wait(const Condition& condition) {
    const int64_t give_up_ns = real_clock().monotonic_ns() + int64_t{60'000'000'000};
    while (!condition()) {
      if (real_clock().monotonic_ns() > give_up_ns) return false;
      real_clock().sleep_us(2000);
    }
    return true;
  }

  // The page's token is sent along unless `headers` has one.
  Answered call(std::string_view method, const std::string& target, std::string_view body = "",
                net::Headers headers = {}) {
    bool own = method == "GET";
    for (const auto& [name, value] : headers) own |= name == "X-Quickwater-Token";
    if (!own) headers.emplace_back("X-Quickwater-Token", token());
    const auto url = fmt::format("http://127.0.0.1:{}{}", server_->port(), target);
    auto answer = net::send_http(method, url, body, headers, {.timeout_ms = 30'000});
    EXPECT_TRUE(answer.ok()) << answer.error().to_string();
    if (!answer.ok()) return {};
    return {answer->status, nlohmann::json::parse(answer->body, nullptr, false), *answer};
  }
  Answered get(const std::string& target, net::Headers headers = {}) {
    return call("GET", target, "", std::move(headers));
  }
  std::string token() {
    const std::string page = get("/").response.body;
    const std::string mark = "name=\"quickwater-token\" content=\"";
    const size_t at = page.find(mark);
    return at == std::string::npos ? "" : page.substr(at + mark.size(), 64);
  }
  uint16_t port() const { return server_->port(); }
  app::Runtime& runtime() { return *runtime_; }

 private:
  std::shared_ptr<const app::Plan> plan_;
  MetricRegistry metrics_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<app::Api> api_;
  std::unique_ptr<app::Runtime> runtime_;
};

// A folder that goes with the test.
class DataFolder {
 public:
  explicit DataFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              fmt::format("qw_api_{}_{}", name, ::getpid())) {
    std::filesystem::remove_all(path_);
  }
  ~DataFolder() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace qw::test
