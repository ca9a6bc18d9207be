// Aim: of the kills that find a record in work, those count that may be the record's fault.
#include "base/crash_watch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

namespace qw {
namespace {

constexpr std::string_view kRecord = "takes all memory";

class CrashWatchTest : public testing::Test {
 protected:
  CrashWatchTest() {
    std::string name = std::filesystem::temp_directory_path() / "qw_crash_watch_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    kernel_counts(5);
  }
  ~CrashWatchTest() override { std::filesystem::remove_all(folder_); }

  // The kernel's counters, with so many processes ended for want of memory.
  void kernel_counts(int killed) const {
    std::ofstream(vmstat()) << "nr_free_pages 17\noom_kill " << killed << "\nballoon_inflate 0\n";
  }
  std::string vmstat() const { return folder_ + "/vmstat"; }

  // A process that watches, works as told, and says by its exit code what came of it.
  int in_a_process(const std::function<int(const CrashWatch&)>& work) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto watch = CrashWatch::start(folder_, vmstat());
      ::_exit(watch.ok() ? work(**watch) : 99);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void kill_in_the_record() const {
    EXPECT_EQ(in_a_process([](const CrashWatch&) {
                const WorkMark mark("apply", kRecord);
                return ::raise(SIGKILL);
              }),
              -SIGKILL);
  }
  bool put_away() const {
    return in_a_process([](const CrashWatch&) { return is_quarantined(kRecord) ? 1 : 0; }) == 1;
  }

  std::string folder_;
};

TEST_F(CrashWatchTest, ARecordInWorkWhenMemoryEndedIsPutAwayTheThirdTime) {
  for (int kill = 1; kill <= 3; ++kill) {
    EXPECT_FALSE(put_away());
    kill_in_the_record();
    kernel_counts(5 + kill);
  }
  EXPECT_TRUE(put_away());
}

TEST_F(CrashWatchTest, KillsWhileMemoryLastsAreNobodysFault) {
  for (int kill = 1; kill <= 5; ++kill) kill_in_the_record();
  EXPECT_FALSE(put_away());
}

TEST_F(CrashWatchTest, ACountThatBeganAnewWithTheMachineTellsNothing) {
  for (int kill = 1; kill <= 5; ++kill) {
    kernel_counts(kill % 2 == 0 ? 2 : 0);
    in_a_process([](const CrashWatch&) { return 0; });  // lets go of what was in work
    kernel_counts(5);
    kill_in_the_record();
    kernel_counts(1);
  }
  EXPECT_FALSE(put_away());
}

TEST_F(CrashWatchTest, WithoutTheCountNothingIsBlamed) {
  for (int kill = 1; kill <= 5; ++kill) {
    std::filesystem::remove(vmstat());
    kill_in_the_record();
    kernel_counts(7);
    EXPECT_FALSE(put_away());
  }
}

// As on a full disk: a file may not grow. The mapping would end the process when it is touched.
TEST_F(CrashWatchTest, WithoutSpaceItSaysSoAndNothingIsMapped) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &none);
    const auto watch = CrashWatch::start(folder_, vmstat());
    const WorkMark mark("apply", kRecord);
    ::_exit(!watch.ok() && watch.error().code == ErrorCode::kExhausted ? 7 : 8);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace qw
