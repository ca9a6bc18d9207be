#include "base/outlet.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

namespace qw {
namespace {

// Ends of something that is written on one side and read on the other.
struct Ends {
  std::array<int, 2> fds{-1, -1};
  ~Ends() {
    for (const int fd : fds)
      if (fd >= 0) ::close(fd);
  }
};

std::string read_all(int fd) {
  std::string all;
  std::array<char, 4096> piece{};
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  while (true) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got <= 0) return all;
    all.append(piece.data(), static_cast<size_t>(got));
  }
}

void fills_without_waiting(int from, int to) {
  const Outlet outlet(to);
  const std::string much(1u << 20, 'x');
  const long first = outlet.write(much);  // hung here for ever
  ASSERT_GT(first, 0);
  ASSERT_LT(first, static_cast<long>(much.size()));
  EXPECT_EQ(outlet.write("more"), 0);
  EXPECT_FALSE(outlet.wait_for_room(0));
  EXPECT_EQ(read_all(from).size(), static_cast<size_t>(first));
  EXPECT_TRUE(outlet.wait_for_room(1000));
  EXPECT_EQ(outlet.write("more"), 4);
  EXPECT_EQ(read_all(from), "more");
}

TEST(Outlet, NeverWaitsForAPipeThatNobodyReads) {
  Ends pipe;
  ASSERT_EQ(::pipe2(pipe.fds.data(), O_CLOEXEC), 0);
  fills_without_waiting(pipe.fds[0], pipe.fds[1]);
  // Others who write there go on as they were used to.
  EXPECT_EQ(::fcntl(pipe.fds[1], F_GETFL) & O_NONBLOCK, 0);
}

TEST(Outlet, NeverWaitsForASocketThatNobodyReads) {
  Ends pair;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.fds.data()), 0);
  fills_without_waiting(pair.fds[0], pair.fds[1]);
}

TEST(Outlet, TellsOfAReaderThatIsGone) {
  std::signal(SIGPIPE, SIG_IGN);
  Ends pipe;
  ASSERT_EQ(::pipe2(pipe.fds.data(), O_CLOEXEC), 0);
  const Outlet outlet(pipe.fds[1]);
  ::close(std::exchange(pipe.fds[0], -1));
  EXPECT_EQ(outlet.write("word"), -1);
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace qw
