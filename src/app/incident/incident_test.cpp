// Aim: an incident does its load, stays within its bounds, and nothing of it is left behind,
// however it ends: by its time, by a stop, with its owner, by kill -9 of either side.
// Method: real loads in real child processes; /proc and the folder are asked afterwards. Waits are
// for the thing itself, with a generous deadline.
#include "app/incident/incident.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

namespace qw::app {
namespace {

const std::string kProgram = QUICKWATER_INCIDENT_PROGRAM;

bool soon(const std::function<bool()>& condition, int64_t within_ms = 60'000) {
  for (int64_t waited_ms = 0; waited_ms < within_ms; waited_ms += 10) {
    if (condition()) return true;
    real_clock().sleep_us(10'000);
  }
  return condition();
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Fields of /proc/PID/stat from the state on; empty when the process is gone or a zombie.
std::vector<std::string> stat_of(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = text.rfind(") ");
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 2));
  std::vector<std::string> read{std::istream_iterator<std::string>(fields), {}};
  return read.empty() || read[0] == "Z" || read[0] == "X" ? std::vector<std::string>{} : read;
}

// Loads that run now and were told to end with `parent`.
std::set<pid_t> loads_of(pid_t parent) {
  std::set<pid_t> found;
  const std::string wanted = std::string("--with-parent") + '\0' + std::to_string(parent) + '\0';
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0;
    const std::string name = entry.path().filename();
    std::from_chars(name.data(), name.data() + name.size(), pid);
    if (pid == 0 || stat_of(pid).empty()) continue;
    const std::string line = text_of(entry.path().string() + "/cmdline");
    if (line.starts_with(kProgram) && line.ends_with(wanted)) found.insert(pid);
  }
  return found;
}
bool none_left(pid_t parent = ::getpid()) {
  return soon([&] { return loads_of(parent).empty(); });
}
pid_t the_load(pid_t parent = ::getpid()) {
  EXPECT_TRUE(soon([&] { return loads_of(parent).size() == 1; }));
  const auto found = loads_of(parent);
  return found.empty() ? 0 : *found.begin();
}

class Folder {
 public:
  Folder() {
    std::string name = ::testing::TempDir() + "quickwater-incident-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  bool empty() const { return std::filesystem::is_empty(path); }
  std::string path;
};

Incidents::Options options(const std::string& folder = "/tmp") {
  Incidents::Options made;
  made.program = {kProgram};
  made.folder = folder;
  return made;
}

TEST(Incident, EndsByItselfAndSaysSo) {
  std::mutex mutex;
  std::vector<IncidentState> told;
  Incidents::Options made = options();
  made.on_change = [&](const IncidentStatus& status) {
    std::lock_guard lock(mutex);
    told.push_back(status.state);
  };
  {
    Incidents incidents(made, real_clock());
    EXPECT_FALSE(incidents.status());
    const auto begun = incidents.start(IncidentKind::kCpu, 5);
    ASSERT_TRUE(begun.ok()) << begun.error().to_string();
    EXPECT_EQ(begun->ends_us - begun->started_us, 5'000'000);
    EXPECT_EQ(incidents.start(IncidentKind::kDisk, 5).error().code, ErrorCode::kConflict);
    EXPECT_TRUE(soon([&] { return incidents.status()->state == IncidentState::kEnded; }));
    EXPECT_EQ(incidents.stop(IncidentState::kStopped).error().code, ErrorCode::kNotFound);
  }
  EXPECT_EQ(told, (std::vector{IncidentState::kRunning, IncidentState::kEnded}));
  EXPECT_TRUE(none_left());
}

TEST(Incident, BurnsCpuPolitely) {
  Incidents incidents(options(), real_clock());
  ASSERT_TRUE(incidents.start(IncidentKind::kCpu, kIncidentSecondsMax).ok());
  const pid_t load = the_load();
  EXPECT_TRUE(soon([&] {
    const auto stat = stat_of(load);
    return stat.size() > 17 && std::stoi(stat[11]) > 20;  // user time: 0.2 s
  })) << "it must be seen to work";
  EXPECT_EQ(stat_of(load)[16], "10") << "nice";
  EXPECT_EQ(text_of("/proc/" + std::to_string(load) + "/oom_score_adj"), "1000\n");
  const auto over = incidents.stop(IncidentState::kHealed);
  ASSERT_TRUE(over.ok());
  EXPECT_EQ(over->state, IncidentState::kHealed);
  EXPECT_TRUE(none_left());
}

TEST(Incident, MemoryStaysBelowItsShare) {
  constexpr uint64_t kGigabyte = 1ull << 30;
  IncidentLoad load;
  EXPECT_EQ(memory_load_bytes(load, 10 * kGigabyte), 3 * kGigabyte) << "never more than its share";
  EXPECT_EQ(memory_load_bytes(load, 100 * kGigabyte), load.memory_bytes) << "never more than asked";
  EXPECT_EQ(memory_load_bytes(load, 0), 0u);
}

// In a child of this process, for the load lowers the priority of the whole process.
TEST(Incident, MemoryIsHeldAndGivenBack) {
  const pid_t child = ::fork();
  if (child == 0) {
    IncidentLoad load;
    load.kind = IncidentKind::kMemory;
    load.seconds = kIncidentSecondsMax;
    load.memory_bytes = 128ull << 20;
    ::_exit(run_incident_load(load, real_clock()).ok() ? 0 : 1);
  }
  EXPECT_TRUE(soon([&] {
    const auto stat = stat_of(child);
    return stat.size() > 21 && std::stoull(stat[21]) * 4096 > (128ull << 20);
  }));
  ::kill(child, SIGTERM);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "ended politely, not by the signal";
}

TEST(Incident, DiskFileHasNoName) {
  Folder folder;
  Incidents incidents(options(folder.path), real_clock());
  ASSERT_TRUE(incidents.start(IncidentKind::kDisk, kIncidentSecondsMax).ok());
  const pid_t load = the_load();
  EXPECT_TRUE(soon([&] {
    const std::string io = text_of("/proc/" + std::to_string(load) + "/io");
    const size_t at = io.find("wchar: ");
    return at != std::string::npos && std::stoull(io.substr(at + 7)) > (4ull << 20);
  }));
  EXPECT_TRUE(folder.empty()) << "also while it writes: kill -9 must leave nothing";
  ::kill(load, SIGKILL);
  EXPECT_TRUE(soon([&] { return incidents.status()->state == IncidentState::kFailed; }));
  EXPECT_NE(incidents.status()->message.find("signal 9"), std::string::npos);
  EXPECT_TRUE(folder.empty());
  EXPECT_TRUE(incidents.start(IncidentKind::kCpu, 5).ok()) << "the next one is free to run";
}

TEST(Incident, EndsWithItsOwner) {
  {
    Incidents incidents(options(), real_clock());
    ASSERT_TRUE(incidents.start(IncidentKind::kCpu, kIncidentSecondsMax).ok());
    the_load();
  }
  EXPECT_TRUE(none_left());
}

TEST(Incident, DiesWithItsProcessEvenByKill9) {
  const pid_t ours = ::fork();
  if (ours == 0) {
    Incidents incidents(options(), real_clock());
    (void)incidents.start(IncidentKind::kCpu, kIncidentSecondsMax);
    for (;;) ::pause();
  }
  const pid_t load = the_load(ours);
  ASSERT_GT(load, 0);
  ASSERT_TRUE(soon([&] { return !stat_of(load).empty() && stat_of(load)[16] == "10"; }));
  ::kill(ours, SIGKILL);
  ::waitpid(ours, nullptr, 0);
  EXPECT_TRUE(none_left(ours));
  for (const pid_t left : loads_of(ours)) ::kill(left, SIGKILL);
}

TEST(Incident, BadInputIsRefused) {
  Incidents incidents(options(), real_clock());
  EXPECT_EQ(incidents.start(IncidentKind::kCpu, 4).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(incidents.start(IncidentKind::kCpu, 121).error().code, ErrorCode::kBadInput);
  EXPECT_FALSE(incidents.status());
  EXPECT_NE(parse_incident_kind("gpu").error().how_to_mend.find("memory"), std::string::npos);
  Incidents::Options absent;
  absent.program = {"/no/such/program"};
  Incidents broken(absent, real_clock());
  const auto begun = broken.start(IncidentKind::kCpu, 5);
  ASSERT_FALSE(begun.ok());
  EXPECT_EQ(begun.error().code, ErrorCode::kIo);
  EXPECT_FALSE(broken.status()) << "what never began is no incident";
  Incidents missing(options("/no/such/folder"), real_clock());
  ASSERT_TRUE(missing.start(IncidentKind::kDisk, 5).ok());
  EXPECT_TRUE(soon([&] { return missing.status()->state == IncidentState::kFailed; }));
}

}  // namespace
}  // namespace qw::app
