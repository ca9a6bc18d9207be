// The demo as a person meets it: the real program on examples/anomaly, this machine's own metrics.
// How soon it is ready, what it costs while nothing happens, how often it cries wolf, and how soon
// it finds an incident. Run it on a machine that does nothing else: a build is an anomaly.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "arguments.h"
#include "base/env.h"
#include "base/files.h"
#include "base/net/http.h"
#include "report.h"

namespace qw::bench {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kReadyLimitS = 600;
constexpr int kIncidentS = 30;
constexpr int64_t kBetweenIncidentsS = 60;  // for alerts to be resolved and their cooldown to pass

double seconds_since(int64_t begin_ns) {
  return static_cast<double>(real_clock().monotonic_ns() - begin_ns) * 1e-9;
}

void wait_s(double seconds) { real_clock().sleep_us(static_cast<int64_t>(seconds * 1e6)); }

// The program under measurement, in a data folder of its own. Ended in every path.
class Program {
 public:
  Program() {
    std::string name = std::filesystem::temp_directory_path() / "quickwater-bench-demo-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return;
    folder_ = name;
    begun_ns_ = real_clock().monotonic_ns();
    pid_ = spawn({QUICKWATER_PROGRAM, "run", QUICKWATER_APP, "--data", data(), "--port", "0"},
                 folder_ + "/stderr.txt");
  }
  ~Program() {
    stop();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  static pid_t spawn(std::vector<std::string> words, const std::string& output) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t pid = 0;
    if (::posix_spawn(&pid, pointers[0], &files, nullptr, pointers.data(), environ) != 0) pid = 0;
    posix_spawn_file_actions_destroy(&files);
    return pid;
  }
  void stop() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGINT);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  bool runs() const { return pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0; }
  std::string data() const { return folder_ + "/data"; }
  std::string said() const { return read_file(folder_ + "/stderr.txt").value_or(""); }
  int64_t begun_ns() const { return begun_ns_; }

  // Empty until it serves.
  std::string url() const {
    const auto text = read_file(data() + "/control.url");
    return text.ok() ? text->substr(0, text->find('\n')) : std::string();
  }
  nlohmann::json get(const std::string& path) const {
    const auto answer = net::send_http("GET", url() + path, "", {}, {});
    return answer.ok() ? nlohmann::json::parse(answer->body, nullptr, false) : nlohmann::json();
  }
  double rss_mb() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
    return 0;
  }
  double cpu_s() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    std::istringstream fields(text.substr(std::min(text.rfind(") ") + 2, text.size())));
    std::vector<std::string> all{std::istream_iterator<std::string>(fields), {}};
    if (all.size() < 13) return 0;
    return (std::stod(all[11]) + std::stod(all[12])) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  // Runs another command of the program on the same data; its output.
  std::string command(std::vector<std::string> words) const {
    words.insert(words.begin(), QUICKWATER_PROGRAM);
    const std::string output = folder_ + "/command.txt";
    const pid_t pid = spawn(std::move(words), output);
    if (pid != 0) ::waitpid(pid, nullptr, 0);
    return read_file(output).value_or("");
  }

 private:
  std::string folder_;
  pid_t pid_ = 0;
  int64_t begun_ns_ = 0;
};

// Every series of the whole machine has been learned. Commands come and go, and are not waited for.
bool is_warm(const nlohmann::json& series) {
  if (!series.is_object() || !series.contains("series") || series["series"].empty()) return false;
  for (const auto& one : series["series"]) {
    const std::string metric = one.value("metric", "");
    if (!metric.starts_with("process.") && one.value("warm", 0.0) < 1.0) return false;
  }
  return true;
}

// What the idle minutes cost.
struct Idle {
  double rss_mb = 0;
  double cpu_percent = 0;
  int64_t from_us = 0, to_us = 0;
};
Idle sit_idle(const Program& program, double minutes) {
  Idle idle;
  idle.from_us = real_clock().wall_us();
  const int64_t begin_ns = real_clock().monotonic_ns();
  const double cpu_before_s = program.cpu_s();
  while (program.runs() && seconds_since(begin_ns) < minutes * 60) {
    wait_s(std::min(5.0, minutes * 60));
    idle.rss_mb = std::max(idle.rss_mb, program.rss_mb());
  }
  idle.cpu_percent = 100 * (program.cpu_s() - cpu_before_s) / seconds_since(begin_ns);
  idle.to_us = real_clock().wall_us();
  return idle;
}

// The journal's records of some kinds: when, and which series or kind of incident.
struct Moment {
  std::string kind;
  int64_t at_us = 0;
  std::string what;
};
std::vector<Moment> moments_of(const std::string& journal) {
  std::vector<Moment> moments;
  std::istringstream lines(journal);
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (!record.is_object() || !record.contains("body")) continue;
    const auto& body = record["body"];
    moments.push_back({record.value("kind", ""), record.value("at_us", int64_t{0}),
                       body.value("key", body.value("kind", ""))});
  }
  return moments;
}

void add_detection(Report& report, const std::vector<Moment>& moments, const std::string& kind) {
  const auto begun = std::find_if(moments.begin(), moments.end(), [&](const Moment& moment) {
    return moment.kind == "incident_started" && moment.what == kind;
  });
  const std::string name = kind == "cpu" ? "demo.detect_s" : "demo.detect_" + kind + "_s";
  Measurement measured{name, 0, "s", false, 10.0, "", {}, "not started"};
  if (begun != moments.end()) {
    const auto ended = std::find_if(
        begun, moments.end(), [](const Moment& moment) { return moment.kind == "incident_ended"; });
    const auto fired = std::find_if(
        begun, ended, [](const Moment& moment) { return moment.kind == "alert_fired"; });
    measured.value = kIncidentS;
    measured.note = "not detected while it ran";
    if (fired != ended) {
      measured.value = static_cast<double>(fired->at_us - begun->at_us) * 1e-6;
      measured.note = fired->what;
    }
  }
  report.add(std::move(measured));
}

bool get_ready(const Program& program, double& ready_s) {
  while (program.runs() && seconds_since(program.begun_ns()) < kReadyLimitS) {
    if (!program.url().empty() && is_warm(program.get("/v1/series?spark=0&limit=2000"))) {
      ready_s = seconds_since(program.begun_ns());
      return true;
    }
    wait_s(0.5);
  }
  std::fprintf(stderr, "bench demo: the program was not ready in %lld s; it said:\n%s\n",
               static_cast<long long>(kReadyLimitS), program.said().c_str());
  return false;
}

int measure(double idle_minutes, bool as_json) {
  Report report("demo");
  Program program;
  double ready_s = 0;
  if (!get_ready(program, ready_s)) return 1;
  std::fprintf(stderr, "ready after %.0f s; %.0f idle minutes\n", ready_s, idle_minutes);
  const Idle idle = sit_idle(program, idle_minutes);
  for (const char* kind : {"cpu", "memory", "disk"}) {
    const std::string said = program.command(
        {"incident", kind, "--seconds", std::to_string(kIncidentS), "--data", program.data()});
    std::fprintf(stderr, "%s", said.c_str());
    wait_s(kIncidentS + kBetweenIncidentsS);
  }
  program.stop();
  const auto moments =
      moments_of(program.command({"log", "journal", QUICKWATER_APP, "--data", program.data()}));
  const auto alarms = std::count_if(moments.begin(), moments.end(), [&](const Moment& moment) {
    return moment.kind == "alert_fired" && moment.at_us >= idle.from_us &&
           moment.at_us < idle.to_us;
  });
  for (const Moment& moment : moments)
    if (moment.kind == "alert_fired" && moment.at_us < idle.to_us)
      std::fprintf(stderr, "while idle: %s\n", moment.what.c_str());
  const double hours = static_cast<double>(idle.to_us - idle.from_us) / 3.6e9;
  report.add({"demo.ready_s", ready_s, "s", false, 180.0, "", {}, "start to warm and answering"});
  report.add({"demo.rss_mb", idle.rss_mb, "MB", false, 150.0, "", {}, ""});
  report.add({"demo.cpu_percent", idle.cpu_percent, "%", false, 5.0, "", {}, "of one core"});
  add_detection(report, moments, "cpu");
  add_detection(report, moments, "memory");
  add_detection(report, moments, "disk");
  report.add({"demo.false_alarms_per_hour",
              static_cast<double>(alarms) / hours,
              "1/h",
              false,
              1.0,
              "",
              {},
              fmt::format("{} in {:.1f} idle minutes", alarms, hours * 60)});
  report.print(as_json);
  return 0;
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  double idle_minutes = 20;
  bool as_json = false;
  qw::bench::Arguments arguments("bench_demo");
  arguments.flag("--json", as_json);
  arguments.value("--idle-minutes", "N", idle_minutes);
  if (!arguments.read(count, words)) return 2;
  return qw::bench::measure(idle_minutes, as_json);
}
