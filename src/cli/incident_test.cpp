// Aim: `quickwater incident` ends by its time, by Ctrl-C and with its parent; nothing is left.
// Method: the real program as a child in a process group of its own. This process adopts whatever
// the child leaves behind, so a leftover is seen as a child of ours.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "app/incident/incident.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

pid_t begin(std::vector<std::string> words) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  words.insert(words.begin(), {QUICKWATER_PROGRAM, "incident"});
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  EXPECT_EQ(::posix_spawn(&child, pointers[0], nullptr, &attributes, pointers.data(), environ), 0);
  posix_spawnattr_destroy(&attributes);
  return child;
}

// Its exit code, or minus the signal that ended it.
int finish(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool nothing_left(pid_t child) {
  const bool no_group = ::kill(-child, 0) < 0 && errno == ESRCH;
  return no_group && ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

bool soon(const std::function<bool()>& condition) {
  const int64_t deadline_ns = real_clock().monotonic_ns() + 60'000'000'000;
  while (!condition() && real_clock().monotonic_ns() < deadline_ns) real_clock().sleep_us(10'000);
  return condition();
}

bool catches_signals(pid_t child) {
  std::ifstream file("/proc/" + std::to_string(child) + "/status");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t at = text.find("SigBlk:\t");
  return at != std::string::npos &&
         (std::stoull(text.substr(at + 8, 16), nullptr, 16) & (1ull << (SIGINT - 1))) != 0;
}

TEST(IncidentCommand, EndsByItselfAndLeavesNothing) {
  const int64_t before_ns = real_clock().monotonic_ns();
  const pid_t child = begin({"cpu", "--seconds", "1"});
  EXPECT_EQ(finish(child), kOk);
  EXPECT_GE(real_clock().monotonic_ns() - before_ns, 1'000'000'000);
  EXPECT_TRUE(nothing_left(child));
}

TEST(IncidentCommand, CtrlCEndsItAndNoFileIsLeft) {
  const std::string folder =
      ::testing::TempDir() + "quickwater_incident_" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  for (const char* kind : {"cpu", "memory", "disk"}) {
    const pid_t child = begin({kind, "--seconds", "120", "--folder", folder});
    ASSERT_TRUE(soon([&] { return catches_signals(child); })) << kind;
    ::kill(child, SIGINT);
    EXPECT_EQ(finish(child), kOk) << kind;
    EXPECT_TRUE(nothing_left(child)) << kind;
    EXPECT_TRUE(std::filesystem::is_empty(folder)) << kind;
  }
  std::filesystem::remove_all(folder);
}

TEST(IncidentCommand, WrongArgumentsAreUsageErrors) {
  EXPECT_EQ(finish(begin({"gpu"})), kUsage);
  EXPECT_EQ(finish(begin({})), kUsage);
  EXPECT_EQ(finish(begin({"cpu", "--seconds", "0"})), kUsage);
  EXPECT_EQ(finish(begin({"cpu", "--seconds", "121"})), kUsage);
  EXPECT_NE(finish(begin({"cpu", "--with-parent", "1"})), kOk) << "not its parent";
}

TEST(IncidentCommand, IsWhatAnApplicationStarts) {
  app::Incidents::Options options;
  options.program = {QUICKWATER_PROGRAM, "incident"};
  options.folder = ::testing::TempDir();
  {
    app::Incidents incidents(options, real_clock());
    ASSERT_TRUE(incidents.start(app::IncidentKind::kCpu, 5).ok());
    EXPECT_TRUE(soon([&] { return incidents.status()->state == app::IncidentState::kEnded; }))
        << incidents.status()->message;
  }
  EXPECT_TRUE(::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD);
}

}  // namespace
}  // namespace qw::cli
