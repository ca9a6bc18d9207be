// bench_loop [--json] [--seconds N] [--series N] [--rate N] [--warm-rows N]: the whole loop in one
// process, open loop: events are due at a fixed rate whatever the system does, and each counts from
// the moment it was due until its decision was made, was durable, and (some of them) was received
// by a webhook. Before that every series gets `warm-rows` events; after it the same without pace
// shows how many events one second of CPU time carries.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/runtime/runtime.h"
#include "arguments.h"
#include "flow_app.h"
#include "paced_source.h"
#include "report.h"

namespace qw::bench {
namespace {

struct Options {
  LoadOptions load;
  bool json = false;
};

// Takes the deliveries: an HTTP server of its own, as a receiver elsewhere would be.
class Receiver {
 public:
  static Result<std::unique_ptr<Receiver>> start(const PacedSource*& source, Latencies& into) {
    QW_ASSIGN(auto server, net::listen_http({}));
    server->route("POST", "/decision",
                  [&source, &into](const net::HttpRequest& request,
                                   const std::shared_ptr<net::HttpReply>& reply) {
                    const int64_t now_ns = real_clock().monotonic_ns();
                    reply->send({});
                    const auto body = nlohmann::json::parse(request.body, nullptr, false);
                    const auto age = source->age_us(body.value("event_seq", uint64_t{0}), now_ns);
                    if (!age) return;
                    const std::lock_guard lock(into.delivered_mutex);
                    into.delivered_us.push_back(*age);
                  });
    server->start();
    return std::unique_ptr<Receiver>(new Receiver(std::move(server)));
  }
  ~Receiver() { server_->stop(); }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/decision", server_->port()); }

 private:
  explicit Receiver(std::unique_ptr<net::HttpServer> server) : server_(std::move(server)) {}
  std::unique_ptr<net::HttpServer> server_;
};

app::AppFile app_of(const std::string& url) {
  app::AppFile file = test::flow_app();
  file.durability.replay_max_us = 30'000'000;
  app::Sink sink;
  sink.name = {"told", {12, 3}};
  app::WebhookSink webhook;
  webhook.webhook.url = schema::Secret::open(url);
  webhook.webhook.timeout_us = 5'000'000;
  sink.kind = std::move(webhook);
  sink.send = app::Send::kDecisions;
  sink.when = test::text("value > 90");
  sink.attempts = 20;
  sink.retry_for_us = 3'600'000'000;
  file.decisions.front().sinks.push_back(std::move(sink));
  return file;
}

void add_latencies(Report& report, const std::string& stage, std::vector<uint32_t> ages,
                   double target_p99_us, const std::string& note) {
  std::sort(ages.begin(), ages.end());
  const std::pair<const char*, double> quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
  for (const auto& [name, quantile] : quantiles) {
    Measurement row;
    row.name = fmt::format("loop.{}_{}_us", stage, name);
    if (!ages.empty())
      row.value = ages[static_cast<size_t>(quantile * static_cast<double>(ages.size() - 1))];
    row.unit = "us";
    if (quantile == 0.99 && target_p99_us > 0) row.target = target_p99_us;
    row.note = fmt::format("{} events{}", ages.size(), note);
    report.add(std::move(row));
  }
}

void add_rates(Report& report, const Options& options, const PacedSource& source,
               MetricRegistry& metrics) {
  const auto& commits =
      metrics.latency("quickwater_store_commit_seconds", "Time from commit to durable.");
  Measurement commit;
  commit.name = "loop.commit_p99_us";
  commit.value = commits.quantile_seconds(0.99) * 1e6;
  commit.unit = "us";
  commit.note = "one commit with its fdatasync, all phases: the disk's part of durable";
  report.add(std::move(commit));
  Measurement share;
  share.name = "loop.cpu_share";
  share.value = source.paced_cpu_s() / static_cast<double>(options.load.seconds);
  share.unit = "cores";
  share.note =
      fmt::format("{} events/s, {} series with {} events each before, commit every 5 ms, fdatasync",
                  options.load.rate, options.load.series, options.load.warm_rows);
  report.add(std::move(share));
  Measurement carried;
  carried.name = "loop.events_per_s_core";
  carried.value = static_cast<double>(source.full_events()) / source.full_cpu_s();
  carried.unit = "events/s";
  carried.higher_is_better = true;
  carried.note = "without pace: events divided by CPU seconds of all threads";
  report.add(std::move(carried));
}

Result<void> run(const Options& options) {
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("qw_bench_loop_{}", real_clock().monotonic_ns());
  Latencies latencies;
  const PacedSource* source = nullptr;
  QW_ASSIGN(const auto receiver, Receiver::start(source, latencies));
  QW_ASSIGN(const auto plan, app::compile_plan(app_of(receiver->url())));
  DecisionTimes times(source, latencies);
  app::RuntimeOptions runtime_options;
  runtime_options.data_folder = folder.string();
  runtime_options.observers.push_back(&times);
  runtime_options.make_source = [&](size_t) -> Result<std::unique_ptr<streams::Source>> {
    auto made = std::make_unique<PacedSource>(options.load, latencies);
    source = made.get();
    return std::unique_ptr<streams::Source>(std::move(made));
  };
  MetricRegistry metrics;
  QW_ASSIGN(auto runtime,
            app::Runtime::start(plan, runtime_options, real_clock(), metrics, nullptr));
  while (!runtime->finished() && !runtime->failure()) real_clock().sleep_us(10'000);
  runtime->stop();
  if (const auto failure = runtime->failure()) return *failure;
  Report report("loop");
  add_latencies(report, "computed", latencies.computed_us, 2'000, "");
  add_latencies(report, "durable", latencies.durable_us, 10'000, "");
  add_latencies(report, "delivered", latencies.delivered_us, 0, ", by webhook on loopback");
  add_rates(report, options, *source, metrics);
  runtime.reset();  // closes the database, whose own threads come and go with files until then
  std::filesystem::remove_all(folder);
  report.print(options.json);
  return {};
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  qw::bench::Options options;
  qw::bench::Arguments arguments("bench_loop");
  arguments.flag("--json", options.json);
  arguments.value("--seconds", "N", options.load.seconds);
  arguments.value("--series", "N", options.load.series);
  arguments.value("--rate", "N", options.load.rate);
  arguments.value("--warm-rows", "N", options.load.warm_rows);
  if (!arguments.read(count, words)) return 2;
  const auto done = qw::bench::run(options);
  if (!done.ok()) std::cerr << done.error().to_string() << '\n';
  return done.ok() ? 0 : 1;
}
