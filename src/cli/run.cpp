// `quickwater run`: starts an application and keeps it running until a signal, a failure, or the
// end of its files.
#include <fmt/format.h>
#include <csignal>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <memory>

#include "app/api/api.h"
#include "app/incident/demo.h"
#include "app/runtime/runtime.h"
#include "base/crash_watch.h"
#include "base/files.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"
#include "monitor/exporters/prometheus/exposition.h"

namespace qw::cli {
namespace {

struct Arguments {
  std::string file = "app.yaml";
  std::string data;
  int port = -1;
  bool until_finished = false;
  bool accept_loss = false;
};

// Blocks SIGINT and SIGTERM for this thread and all it starts, so that they are taken here and
// nowhere else.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  // True when one came within the time.
  bool wait(int64_t limit_ms) const {
    const timespec limit{limit_ms / 1000, limit_ms % 1000 * 1'000'000};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }
  // From now on a signal ends the process at once, like kill -9.
  void let_through() const {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

void add_routes(net::HttpServer& server, const MetricRegistry& metrics,
                const std::atomic<bool>& ready) {
  server.route("GET", "/metrics",
               [&metrics](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
                 const auto format = monitor::prometheus::negotiate(request.header("accept"));
                 reply->send({200,
                              monitor::prometheus::exposition(metrics, format),
                              std::string(monitor::prometheus::content_type(format)),
                              {}});
               });
  server.route("GET", "/health/live",
               [](const net::HttpRequest&, std::shared_ptr<net::HttpReply> reply) {
                 reply->send({200, R"({"live":true})", "application/json", {}});
               });
  server.route("GET", "/health/ready",
               [&ready](const net::HttpRequest&, std::shared_ptr<net::HttpReply> reply) {
                 reply->send({ready ? 200 : 503,
                              ready ? R"({"ready":true})" : R"({"ready":false})",
                              "application/json",
                              {}});
               });
}

// What starts incidents and ends them; null when the file does not allow any.
std::shared_ptr<app::DemoIncidents> make_demo(const app::Plan& plan,
                                              const app::RuntimeOptions& options,
                                              app::Runtime& runtime, net::HttpServer& server) {
  if (!plan.file.demo.incidents) return nullptr;
  app::Incidents::Options incidents;
  incidents.folder = options.data_folder;
  auto demo = app::DemoIncidents::make(
      incidents, real_clock(), options.own_server.secret,
      [&runtime](std::string_view kind, const app::IncidentStatus& status) {
        runtime.between_events([&](app::Pipeline&, app::PendingCommit& open) {
          runtime.journal().append(
              open, {std::string(kind), real_clock().wall_us(), app::incident_json(status)});
        });
      });
  demo->add_routes(server);
  return demo;
}

// Where this program can be asked, for other commands on the same data folder; taken away at the
// end. A killed program leaves it behind: whoever reads it finds nobody there.
class ControlFile {
 public:
  ControlFile(const std::string& data_folder, const std::string& url)
      : path_(data_folder + "/" + kControlFile) {
    if (const auto written = write_file_atomically(path_, url + "\n"); !written.ok())
      log::warning("run", "other commands will not find this program: {}",
                   written.error().to_string());
  }
  ~ControlFile() {
    std::error_code gone;
    std::filesystem::remove(path_, gone);
  }
  ControlFile(const ControlFile&) = delete;
  ControlFile& operator=(const ControlFile&) = delete;

 private:
  std::string path_;
};

// A record that crashes the process is found out and put away; without it the rest still works.
std::unique_ptr<CrashWatch> watch_for_crashes(const std::string& data_folder) {
  auto made = make_folders(data_folder);
  auto watch = made.ok() ? CrashWatch::start(data_folder)
                         : Result<std::unique_ptr<CrashWatch>>(made.error());
  if (!watch.ok()) {
    log::warning("run", "crashes are not traced: {}", watch.error().to_string());
    return nullptr;
  }
  const CrashHistory& history = (*watch)->history();
  if (history.quarantined > 0)
    log::warning(
        "run",
        "the process crashed {} times before, and was killed {} times in a record that may be why "
        "(long in work, or memory ended); {} records that were in work again and again go to the "
        "dead letters; forget that by removing {}/crashes",
        history.crashes, history.kills, history.quarantined, data_folder);
  return std::move(watch).value();
}

Result<app::ApiOptions> api_options(const net::HttpServerOptions& http, uint16_t port,
                                    const app::AppFile& file) {
  app::ApiOptions options;
  if (!file.demo.labels.empty()) {
    QW_ASSIGN(options.labels, app::read_dataset_labels(file.resolve(file.demo.labels)));
  }
  options.version = QUICKWATER_VERSION;
  options.address = http.address;
  options.port = port;
  options.names = file.server.names;
  return options;
}

int serve(const Arguments& arguments, std::shared_ptr<const app::Plan> plan, Io io) {
  const Signals signals;
  MetricRegistry metrics;
  std::atomic<bool> ready{false};
  net::HttpServerOptions http;
  http.address = plan->file.server.address;
  http.port = arguments.port >= 0 ? static_cast<uint16_t>(arguments.port) : plan->file.server.port;
  auto server = net::listen_http(http);
  if (!server.ok()) return say(io, server.error());
  add_routes(**server, metrics, ready);
  auto shown = api_options(http, (*server)->port(), plan->file);
  if (!shown.ok()) return say(io, shown.error());
  app::Api api(plan, real_clock(), metrics, std::move(shown).value());
  app::RuntimeOptions options;
  options.observers = api.observers();
  options.data_folder =
      arguments.data.empty() ? plan->file.resolve(plan->file.data) : arguments.data;
  options.accept_loss = arguments.accept_loss;
  options.own_server = app::own_server(http.address, (*server)->port());
  const auto crash_watch = watch_for_crashes(options.data_folder);
  auto runtime = app::Runtime::start(plan, options, real_clock(), metrics, server->get());
  if (!runtime.ok()) return say(io, runtime.error());
  const auto demo = make_demo(*plan, options, **runtime, **server);
  api.use(demo);
  api.start(**runtime);
  api.add_routes(**server);  // after the routes of http sources, which are more particular
  (*server)->start();
  const ControlFile control(options.data_folder, options.own_server.url);
  ready = true;
  log::info("run", "{} runs; the page is at {}/, metrics at {}/metrics, data in {}",
            plan->file.app.text, options.own_server.url, options.own_server.url,
            options.data_folder);
  bool asked = false;
  while (!asked && !(*runtime)->failure() && !(arguments.until_finished && (*runtime)->finished()))
    asked = signals.wait(50);
  ready = false;
  signals.let_through();
  if (demo) demo->end();
  (*runtime)->stop();
  (*server)->stop();
  api.stop();
  if (const auto failure = (*runtime)->failure()) return say(io, *failure);
  log::info("run", "{} stopped; everything is durable", plan->file.app.text);
  return kOk;
}

}  // namespace

Run declare_run(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  add_file_argument(command, arguments->file);
  command.add_option("--data", arguments->data, "the data folder, in place of the file's `data`");
  command
      .add_option(
          "--port", arguments->port,
          "the port of the HTTP server, in place of the file's `server.port`; 0: any free one")
      ->check(CLI::Range(0, 65535));
  command.add_flag("--until-finished", arguments->until_finished,
                   "stop once every file source has been read to its end");
  command.add_flag("--accept-loss", arguments->accept_loss,
                   "go on without what `doctor` calls damaged or missing; the journal tells what "
                   "was given up, and what is left of it is moved to DIR/lost");
  return [arguments](Io io) {
    const auto plan = load_or_say(arguments->file, io);
    return plan == nullptr ? kBadAppFile : serve(*arguments, plan, io);
  };
}

}  // namespace qw::cli
