#include "fuzzer.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/env.h"
#include "base/result.h"

namespace qw::test {
namespace {

constexpr size_t kInputBytesMax = size_t{64} << 10;
constexpr size_t kPoolMax = 256;

// What the child is at, where the parent still sees it when the child is gone.
struct Shared {
  uint64_t inputs = 0;
  size_t size = 0;
  char bytes[kInputBytesMax];
};

class Mutator {
 public:
  Mutator(const FuzzTarget& target, uint64_t seed)
      : random_(seed), dictionary_(target.dictionary), pool_(target.seeds) {
    if (pool_.empty()) pool_.emplace_back();
  }

  std::string next() {
    std::string input = any(pool_);
    // Mostly small steps: a decoder refuses what is far off at its first byte.
    for (uint64_t steps = 1 + random_.below(4); steps > 0; --steps) change(input);
    if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
    // Some results become beginnings, so that changes add up over many inputs.
    if (random_.below(16) == 0) {
      if (pool_.size() < kPoolMax)
        pool_.push_back(input);
      else
        pool_[kPoolMax / 2 + random_.below(kPoolMax / 2)] = input;
    }
    return input;
  }

 private:
  const std::string& any(const std::vector<std::string>& from) {
    return from[random_.below(from.size())];
  }
  size_t place(const std::string& input) { return random_.below(input.size() + 1); }
  char byte() {
    constexpr std::string_view kTelling("\0\xFF\x7F\x80\"'\\{}[]()<>,:;=-+.eE0 \t\r\n#&*|%$/~", 37);
    return random_.below(2) == 0 ? kTelling[random_.below(kTelling.size())]
                                 : static_cast<char>(random_.below(256));
  }

  void change(std::string& input) {
    const size_t at = place(input);
    const size_t length = std::min<size_t>(input.size() - at, 1 + random_.below(16));
    switch (random_.below(9)) {
      case 0: input.insert(at, 1, byte()); break;
      case 1: input.erase(at, length); break;
      case 2: input.insert(at, input.substr(at, length)); break;
      case 3: input.resize(at); break;
      case 4:
        if (at < input.size()) input[at] = byte();
        break;
      case 5:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << random_.below(8)));
        break;
      case 6: {
        const std::string& other = any(pool_);
        const size_t from = random_.below(other.size() + 1);
        input.insert(at, other.substr(from, 1 + random_.below(64)));
        break;
      }
      case 7: {  // the same again and again: depth and length
        const std::string piece = input.substr(at, 1 + random_.below(4));
        std::string many;
        for (uint64_t times = uint64_t{1} << random_.below(13); times > 0; --times) many += piece;
        input.insert(at, many);
        break;
      }
      default:
        if (!dictionary_.empty()) input.insert(at, any(dictionary_));
    }
  }

  Random random_;
  const std::vector<std::string>& dictionary_;
  std::vector<std::string> pool_;
};

[[noreturn]] void be_child(const FuzzTarget& target, const FuzzLimits& limits, Shared& shared) {
  Mutator mutator(target, limits.seed);
  const int64_t until_ns = real_clock().monotonic_ns() + limits.seconds * 1'000'000'000;
  // CPU time, so that a busy machine is no hang; SIGPROF ends the child.
  const itimerval hang{{0, 0}, {static_cast<time_t>(limits.hang_s), 0}};
  const auto take = [&](std::string_view input) {
    ::setitimer(ITIMER_PROF, &hang, nullptr);
    shared.size = std::min(input.size(), kInputBytesMax);
    std::memcpy(shared.bytes, input.data(), shared.size);
    target.decode(input);
    ++shared.inputs;
  };
  for (const std::string& seed : target.seeds) take(seed);
  while (limits.seconds > 0 ? real_clock().monotonic_ns() < until_ns
                            : shared.inputs < limits.inputs)
    take(mutator.next());
  ::_exit(0);
}

}  // namespace

FuzzReport fuzz(const FuzzTarget& target, const FuzzLimits& limits) {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  QW_ASSERT(memory != MAP_FAILED);
  Shared& shared = *static_cast<Shared*>(memory);
  const pid_t child = ::fork();
  QW_ASSERT(child >= 0);
  if (child == 0) be_child(target, limits, shared);
  int status = 0;
  QW_ASSERT(::waitpid(child, &status, 0) == child);
  FuzzReport report;
  report.inputs = shared.inputs;
  if (WIFSIGNALED(status))
    report.crashed = fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else if (WEXITSTATUS(status) != 0)
    report.crashed = fmt::format("exit code {}", WEXITSTATUS(status));
  if (!report.crashed.empty()) report.input.assign(shared.bytes, shared.size);
  ::munmap(memory, sizeof(Shared));
  return report;
}

std::string as_literal(std::string_view bytes) {
  std::string text = "\"";
  for (const char byte : bytes.substr(0, 4096)) {
    if (byte == '"' || byte == '\\')
      text += fmt::format("\\{}", byte);
    else if (byte >= ' ' && byte <= '~')
      text += byte;
    else  // three octal digits end by themselves
      text += fmt::format("\\{:03o}", static_cast<unsigned char>(byte));
  }
  return text + "\"";
}

}  // namespace qw::test
