// Gives a decoder inputs that are nearly right, in a process of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace qw::test {

// What is fuzzed. `decode` must take any bytes: it crashes, hangs or asserts on none.
struct FuzzTarget {
  std::string name;
  std::vector<std::string> seeds;       // good inputs, to begin with
  std::vector<std::string> dictionary;  // pieces that inputs of this kind are made of
  std::function<void(std::string_view)> decode;
};

// How long. The same seed gives the same inputs.
struct FuzzLimits {
  uint64_t seed = 1;
  uint64_t inputs = 20'000;  // where `seconds` is 0
  int64_t seconds = 0;
  unsigned hang_s = 20;  // of CPU time, for one input
};

// What came of it; `crashed` says how ("signal 11"), empty: every input was taken.
struct FuzzReport {
  uint64_t inputs = 0;
  std::string crashed;
  std::string input;  // the one that did it
};

// Forks a child that decodes input after input, and waits for it. A crash is the child's: it costs
// the caller nothing. From one thread.
FuzzReport fuzz(const FuzzTarget& target, const FuzzLimits& limits);

// The bytes as a C string literal, to be kept as a seed.
std::string as_literal(std::string_view bytes);

}  // namespace qw::test
