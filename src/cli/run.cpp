// `quickwater run`: starts an application and keeps it running until a signal, a failure, or the
// end of its files.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

#include "app/api/api.h"
#include "app/incident/demo.h"
#include "app/runtime/runtime.h"
#include "base/crash_watch.h"
#include "base/files.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/stop_limit.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"
#include "cli/run_summary.h"
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

// Blocks the signals that ask for a stop, for this thread and all it starts, so that they are taken
// here and nowhere else: SIGINT, SIGTERM, SIGXCPU (`ulimit -t`) and SIGHUP (the terminal was
// closed; left alone under nohup). Those that others are used to send, or that tell of a reader
// that went, are ignored.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGXCPU}) sigaddset(&set_, number);
    struct sigaction hangup {};
    if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
      sigaddset(&set_, SIGHUP);
    for (const int number : {SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM}) std::signal(number, SIG_IGN);
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
  // From now on SIGINT or SIGTERM ends the process at once, like kill -9.
  void let_through() const {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGHUP, SIG_IGN);  // a terminal that closes sends it more than once
    std::signal(SIGXCPU, SIG_IGN);
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

// Takes the signals while the application starts, which may be long (much to replay): a stop then
// does not wait for the start's end.
class StartWatch {
 public:
  explicit StartWatch(const Signals& signals) {
    const auto begun = guarded("start", [&] {
      thread_ = std::jthread([&signals, this](const std::stop_token& done) {
        while (!done.stop_requested() && !asked_) asked_ = signals.wait(20);
        for (int waited = 0; !done.stop_requested(); ++waited) {
          if (waited * 20 >= kPatienceMs) give_up();
          real_clock().sleep_us(20'000);
        }
      });
    });
    if (!begun.ok()) log::warning("run", "a stop waits for the start: {}", begun.error().message);
  }
  // Whether a stop was asked for meanwhile.
  bool end() {
    thread_ = {};
    return asked_;
  }

 private:
  static constexpr int kPatienceMs = 1000;
  // As a kill, of which nothing is lost.
  [[noreturn]] static void give_up() {
    log::info("run", "stopped while starting; the next start begins anew where this one did");
    log::drain(100);
    ::_exit(kOk);
  }
  std::atomic<bool> asked_{false};
  std::jthread thread_;
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
      [&runtime](const store::IncidentBody& incident) { runtime.note(incident); });
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
  auto watch = made.ok() ? guarded("crashes", [&] { return CrashWatch::start(data_folder); })
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

// The last line, and the exit code.
int tell_end(const app::Plan& plan, const app::Runtime& runtime,
             const app::Runtime::Stopped& stopped, Io io) {
  const std::string& name = plan.file.app.text;
  if (const auto failure = runtime.failure()) return say(io, *failure);
  const std::string waiting =
      stopped.undelivered == 0
          ? ""
          : fmt::format("; {} deliveries wait for the next start", stopped.undelivered);
  if (!stopped.durable) {
    log::error("run",
               "{} stopped; the newest changes are not durable: what was not acknowledged is read "
               "again{}",
               name, waiting);
    return kMachine;
  }
  log::info("run", "{} stopped; everything is durable{}", name, waiting);
  return kOk;
}

int serve(const Arguments& arguments, std::shared_ptr<const app::Plan> plan, Io io) {
  const Signals signals;
  StopLimit stop_limit;
  MetricRegistry metrics;
  const FileShares files = share_files(raise_file_limit());
  if (files.limit < kFilesLeast)
    return say(io, Error{ErrorCode::kExhausted,
                         fmt::format("{} open files are allowed; less than {} leave none for the "
                                     "database, the sources and the page together",
                                     files.limit, kFilesLeast),
                         "ulimit -n", "allow more open files"});
  std::atomic<bool> ready{false};
  net::HttpServerOptions http;
  http.address = plan->file.server.address;
  http.max_connections = files.connections;
  http.metrics = &metrics;
  http.port = arguments.port >= 0 ? static_cast<uint16_t>(arguments.port) : plan->file.server.port;
  auto server = net::listen_http(http);
  if (!server.ok()) return say(io, server.error());
  add_routes(**server, metrics, ready);
  auto shown = api_options(http, (*server)->port(), plan->file);
  if (!shown.ok()) return say(io, shown.error());
  app::Api api(plan, real_clock(), metrics, std::move(shown).value());
  app::RuntimeOptions options;
  options.stop_limit_ms = plan->file.stop_timeout_us / 1000;
  options.database_files = files.database;
  options.observers = api.observers();
  options.data_folder =
      arguments.data.empty() ? plan->file.resolve(plan->file.data) : arguments.data;
  options.accept_loss = arguments.accept_loss;
  options.own_server = app::own_server(http.address, (*server)->port());
  const auto crash_watch = watch_for_crashes(options.data_folder);
  StartWatch start_watch(signals);
  auto runtime = app::Runtime::start(plan, options, real_clock(), metrics, server->get());
  bool asked = start_watch.end();
  if (!runtime.ok()) return say(io, runtime.error());
  const auto demo = make_demo(*plan, options, **runtime, **server);
  api.use(demo);
  api.start(**runtime);
  api.add_routes(**server);  // after the routes of http sources, which are more particular
  (*server)->start();
  const ControlFile control(options.data_folder, options.own_server.url);
  ready = true;
  const RunSummary summary(**runtime, real_clock());
  log::info("run", "{} runs; the page is at {}/, metrics at {}/metrics, data in {}",
            plan->file.app.text, options.own_server.url, options.own_server.url,
            options.data_folder);
  while (!asked && !(*runtime)->failure() && !(arguments.until_finished && (*runtime)->finished()))
    asked = signals.wait(50);
  ready = false;
  const bool finished = (*runtime)->finished();
  signals.let_through();
  stop_limit.arm(options.stop_limit_ms, kPartial);
  if (demo) demo->end();
  const app::Runtime::Stopped stopped = (*runtime)->stop();
  (*server)->stop();
  api.stop();
  const int ended = tell_end(*plan, **runtime, stopped, io);
  if (!arguments.until_finished || ended != kOk) return ended;
  const int summed = summary.tell(metrics);
  if (finished || summed != kOk) return summed;
  log::warning("run", "stopped before the end of the files: a start goes on from there");
  return kPartial;
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
                   "stop once every file source has been read to its end, and say what became of "
                   "the records: 1 when none could be used, 7 when some could not");
  command.add_flag("--accept-loss", arguments->accept_loss,
                   "go on without what `doctor` calls damaged or missing; the journal tells what "
                   "was given up, and what is left of it is moved to DIR/lost");
  return [arguments](Io io) {
    const auto plan = load_or_say(arguments->file, io);
    return plan == nullptr ? kBadAppFile : serve(*arguments, plan, io);
  };
}

}  // namespace qw::cli
