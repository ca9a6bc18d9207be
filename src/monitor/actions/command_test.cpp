// Aim: a healing command runs exactly what the allow-list says, ends in time, and leaves nothing
// behind: no process, no zombie, no open file.
// Method: real small programs of the system (sh, env, sleep); afterwards /proc is asked.
#include "monitor/actions/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace qw::monitor {
namespace {

CommandReport shell(const std::string& script, CommandLimits limits = {}, int cancel_fd = -1) {
  return run_command({"/bin/sh", "-c", script}, {}, limits, real_clock(), cancel_fd);
}

// Dead, or a zombie that its new parent has yet to collect.
bool is_gone(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t state = text.rfind(") ");
  return state == std::string::npos || text[state + 2] == 'Z' || text[state + 2] == 'X';
}
bool is_gone_soon(pid_t pid) {
  const int64_t deadline_ns = real_clock().monotonic_ns() + 10'000'000'000;
  while (!is_gone(pid) && real_clock().monotonic_ns() < deadline_ns) real_clock().sleep_us(5'000);
  return is_gone(pid);
}
size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}
bool no_children() { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

TEST(Command, ReportsExitCodeAndOutput) {
  const CommandReport report = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(report.end, CommandEnd::kExited);
  EXPECT_EQ(report.exit_code, 3);
  EXPECT_EQ(report.out, "out\n");
  EXPECT_EQ(report.err, "err\n");
  EXPECT_FALSE(report.ok());
  EXPECT_TRUE(shell("true").ok());
  EXPECT_TRUE(no_children());
}

TEST(Command, ArgumentsAreNeverAShellsWords) {
  const CommandReport report =
      run_command({"/bin/echo", "$HOME; rm -rf /tmp/x", "`id`", "*"}, {}, {}, real_clock());
  EXPECT_EQ(report.out, "$HOME; rm -rf /tmp/x `id` *\n");
}

TEST(Command, TheEnvironmentIsOnlyWhatIsStated) {
  ::setenv("QUICKWATER_PLANTED_SECRET", "s3cret", 1);
  const CommandReport report =
      run_command({"/usr/bin/env"}, {{"QUICKWATER_ALERT_ID", "a-7"}}, {}, real_clock());
  EXPECT_EQ(report.out,
            "PATH=/usr/local/bin:/usr/bin:/bin\nLANG=C.UTF-8\nQUICKWATER_ALERT_ID=a-7\n");
}

TEST(Command, NoFileOfOursIsOpenInIt) {
  const int leaky = ::open("/etc/hostname", O_RDONLY);  // no O_CLOEXEC, as a library might
  const CommandReport files = run_command({"/bin/ls", "/proc/self/fd"}, {}, {}, real_clock());
  ::close(leaky);
  EXPECT_EQ(files.out, "0\n1\n2\n3\n") << "the last one is ls's own";
  EXPECT_EQ(shell("pwd; cat").out, "/\n") << "the folder is /; stdin is empty";
}

TEST(Command, HasItsOwnGroup) {
  const CommandReport report = shell("echo $$; cut -d' ' -f5 /proc/$$/stat");
  std::istringstream lines(report.out);
  pid_t pid = 0;
  pid_t group = -1;
  lines >> pid >> group;
  EXPECT_EQ(pid, group);
}

TEST(Command, EndsInTimeWithItsWholeGroup) {
  CommandLimits limits;
  limits.timeout_ms = 300;
  limits.grace_ms = 200;
  const CommandReport report =
      shell("trap '' TERM; sleep 100 & echo $$ $!; while :; do sleep 1; done", limits);
  EXPECT_EQ(report.end, CommandEnd::kTimedOut);
  EXPECT_EQ(report.signal, SIGKILL) << "it ignored the polite signal";
  std::istringstream pids(report.out);
  pid_t leader = 0;
  pid_t sleeper = 0;
  pids >> leader >> sleeper;
  ASSERT_GT(sleeper, 0);
  EXPECT_TRUE(is_gone_soon(leader));
  EXPECT_TRUE(is_gone_soon(sleeper));
  EXPECT_TRUE(no_children());
}

TEST(Command, TheFirstSignalIsPolite) {
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &term, &before);  // our mask must not be the program's
  CommandLimits limits;
  limits.timeout_ms = 200;
  const CommandReport report =
      shell("trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done", limits);
  const CommandReport sleeper = run_command({"/bin/sleep", "100"}, {}, limits, real_clock());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(report.end, CommandEnd::kTimedOut);
  EXPECT_EQ(report.exit_code, 7);
  EXPECT_EQ(report.out, "bye\n");
  EXPECT_EQ(sleeper.signal, SIGTERM);
}

TEST(Command, WhatItLeavesRunningIsKilled) {
  const CommandReport report = shell("sleep 100 & echo $!");
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(is_gone_soon(std::stoi(report.out)));
}

TEST(Command, OutputIsCappedAndReadToTheEnd) {
  CommandLimits limits;
  limits.max_output_bytes = 1000;
  const CommandReport report = shell("head -c 3000000 /dev/zero; echo done >&2", limits);
  EXPECT_TRUE(report.ok()) << "a full pipe must not block the program";
  EXPECT_EQ(report.out.size(), 1000u);
  EXPECT_EQ(report.err, "done\n");
  EXPECT_TRUE(report.cut);
  const CommandReport whole = shell("head -c 15000 /dev/zero");
  EXPECT_EQ(whole.out.size(), 15000u);
  EXPECT_FALSE(whole.cut);
}

TEST(Command, AProgramThatIsNotThereSaysSo) {
  const CommandReport report = run_command({"/no/such/program"}, {}, {}, real_clock());
  EXPECT_EQ(report.end, CommandEnd::kNotStarted);
  EXPECT_NE(report.message.find("/no/such/program: No such file"), std::string::npos);
  EXPECT_EQ(run_command({"/etc/hostname"}, {}, {}, real_clock()).end, CommandEnd::kNotStarted);
  EXPECT_EQ(run_command({"sh", "-c", "true"}, {}, {}, real_clock()).end, CommandEnd::kNotStarted);
  EXPECT_TRUE(no_children());
}

TEST(Command, CanBeCancelled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::thread canceller([&] { EXPECT_EQ(::write(ends[1], "x", 1), 1); });
  const CommandReport report = shell("sleep 100", {}, ends[0]);
  canceller.join();
  EXPECT_EQ(report.end, CommandEnd::kCancelled);
  EXPECT_EQ(report.signal, SIGTERM);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Command, DiesWithUs) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t ours = ::fork();
  if (ours == 0) {
    const std::string path = "/proc/self/fd/" + std::to_string(ends[1]);
    shell("echo $$ > /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(ends[1]) +
          "; exec sleep 100");
    ::_exit(0);
  }
  std::array<char, 32> text = {};
  ASSERT_GT(::read(ends[0], text.data(), text.size()), 0);
  pid_t program = 0;
  std::from_chars(text.begin(), text.end(), program);
  ASSERT_GT(program, 0);
  ASSERT_FALSE(is_gone(program));
  ::kill(ours, SIGKILL);
  ::waitpid(ours, nullptr, 0);
  EXPECT_TRUE(is_gone_soon(program));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Command, ManyAtOnceLeaveNoFileAndNoProcess) {
  const size_t before = open_files();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&good, i] {
      for (int round = 0; round < 15; ++round)
        good += shell("echo " + std::to_string(i)).out == std::to_string(i) + "\n" ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 60);
  EXPECT_EQ(open_files(), before);
  EXPECT_TRUE(no_children());
}

TEST(Command, PlaceholdersAreWholeArgumentsAndNeverOptions) {
  const CommandTemplate command{"/bin/kill-it", "--name", "{process}", "x{process}", "{}"};
  const auto filled = fill_command(command, {{"process", "a b; c"}});
  ASSERT_TRUE(filled.ok());
  EXPECT_EQ(*filled,
            (std::vector<std::string>{"/bin/kill-it", "--name", "a b; c", "x{process}", "{}"}));
  for (const std::string& hostile :
       {std::string("-rf"), std::string("--all"), std::string("a\0b", 3), std::string(5000, 'x')})
    EXPECT_FALSE(fill_command(command, {{"process", hostile}}).ok()) << hostile.substr(0, 10);
  EXPECT_FALSE(fill_command(command, {}).ok());
  EXPECT_FALSE(check_command({}).ok());
  EXPECT_FALSE(check_command({"kill", "x"}).ok());
  EXPECT_FALSE(check_command({"{process}"}).ok());
}

TEST(Command, JournalBodyIsValidWhateverItPrinted) {
  const CommandReport report = shell("printf '\\377\\300\"'");
  const schema::JournalRecord record = store::journal_record(journal_body("act-1", report), 0);
  const auto json = nlohmann::json::parse(record.json, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["end"], "exited");
  EXPECT_EQ(json["exit_code"], 0);
}

}  // namespace
}  // namespace qw::monitor
