// bench_detectors [--json]: updates per second of one core, learning and scoring, states past
// warm-up. QUICKWATER_RIVER_PYTHON names a Python that has river, the peer of half-space trees.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "arguments.h"
#include "models/engines/builtin.h"
#include "report.h"

namespace qw::bench {
namespace {

constexpr size_t kSeries = 64;      // 3.3 MB of ensemble states: past the second-level cache
constexpr size_t kWarmRows = 1500;  // per series: the rings are full
constexpr size_t kRows = 4096;      // per series and repetition, before the clock is read
constexpr double kSecondsMin = 1.0;
constexpr int kPeerTimeoutMs = 60'000;  // between two pieces of its output

class Fleet {
 public:
  explicit Fleet(const models::LearningEngine& engine) : engine_(engine) {
    const size_t words = (engine.state_bytes() + 7) / 8;
    std::mt19937 random(1);
    std::normal_distribution<double> noise(0, 1);
    for (size_t i = 0; i < kRows; ++i) noise_.push_back(noise(random));
    for (size_t s = 0; s < kSeries; ++s) {
      states_.emplace_back(words);
      engine.init(state(s));
    }
    for (size_t i = 0; i < kWarmRows; ++i) step();
  }

  // Updates per second of processor time, over at least kSecondsMin.
  double measure() {
    size_t updates = 0;
    const std::clock_t began = std::clock();
    double seconds = 0;
    while (seconds < kSecondsMin) {
      for (size_t i = 0; i < 64; ++i) step();
      updates += 64 * kSeries;
      seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
    }
    return static_cast<double>(updates) / seconds;
  }
  double sum() const { return sum_; }

 private:
  std::span<std::byte> state(size_t series) {
    return {reinterpret_cast<std::byte*>(states_[series].data()), engine_.state_bytes()};
  }
  // One row of every series.
  void step() {
    for (size_t s = 0; s < kSeries; ++s) {
      const double season = 10 * std::sin(static_cast<double>(row_) * 0.02);
      const double value = season + noise_[(row_ * 7 + s * 131) % kRows];
      const auto time_us = static_cast<int64_t>(row_) * 1'000'000;
      sum_ += engine_.update_and_score({time_us, value}, state(s)).score;
    }
    ++row_;
  }

  const models::LearningEngine& engine_;
  std::vector<double> noise_;
  std::vector<std::vector<uint64_t>> states_;
  size_t row_ = 0;
  double sum_ = 0;  // printed nowhere, but the work cannot be left out
};

// What a program prints, or nothing when it fails or takes longer than kPeerTimeoutMs.
std::optional<std::string> output_of(std::vector<std::string> arguments) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return std::nullopt;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int spawned = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  std::string output;
  bool ended = false;
  pollfd readable{pipe_ends[0], POLLIN, 0};
  while (spawned == 0 && !ended && poll(&readable, 1, kPeerTimeoutMs) > 0) {
    std::array<char, 256> chunk;
    const ssize_t got = read(pipe_ends[0], chunk.data(), chunk.size());
    if (got > 0) output.append(chunk.data(), static_cast<size_t>(got));
    ended = got <= 0;
  }
  close(pipe_ends[0]);
  if (spawned != 0) return std::nullopt;
  if (!ended) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  return ended && status == 0 ? std::optional(output) : std::nullopt;
}

// river's updates per second by the Python that the environment names.
struct River {
  std::optional<double> updates_per_s;
  std::string note;
};

River run_river() {
  const char* python = std::getenv("QUICKWATER_RIVER_PYTHON");
  if (python == nullptr) {
    return {{}, "not run: set QUICKWATER_RIVER_PYTHON to a python with river"};
  }
  const std::optional<std::string> output =
      output_of({python, QW_BENCH_SOURCE "/detectors/river_half_space_trees.py"});
  std::array<char, 64> version{};
  double updates = 0;
  if (!output || std::sscanf(output->c_str(), "%63s %lf", version.data(), &updates) != 2) {
    return {{}, "not run: " + std::string(python) + " has no river"};
  }
  return {updates, "river " + std::string(version.data()) + ", measured beside"};
}

int run(bool as_json) {
  Report report("detectors");
  for (const std::string_view kind : models::detectors::detector_kinds()) {
    auto engine = models::make_detector(kind);
    if (!engine) {
      std::fprintf(stderr, "bench_detectors: %s\n", engine.error().to_string().c_str());
      return 1;
    }
    Fleet fleet(**engine);
    Measurement m;
    m.value = fleet.measure();
    m.unit = "1/s";
    m.higher_is_better = true;
    m.name = "detectors." + std::string(kind) + "_updates_per_s";
    if (kind == "half_space_trees") {
      m.name = "detectors.hst_updates_per_s";
      m.target = 1e6;
      const River river = run_river();
      m.peer = "river HalfSpaceTrees";
      m.peer_value = river.updates_per_s;
      m.note = river.note;
    }
    if (kind == "ensemble") m.target = 1e5;
    if (!std::isfinite(fleet.sum())) m.note += " (scores were not finite)";
    report.add(std::move(m));
    if (kind == "ensemble") {
      report.add({"detectors.ensemble_state_bytes",
                  static_cast<double>((*engine)->state_bytes()),
                  "bytes",
                  false,
                  65536,
                  "",
                  {},
                  "per series"});
    }
  }
  report.print(as_json);
  return 0;
}

}  // namespace
}  // namespace qw::bench

int main(int count, char** words) {
  bool as_json = false;
  qw::bench::Arguments arguments("bench_detectors");
  arguments.flag("--json", as_json);
  if (!arguments.read(count, words)) return 2;
  return qw::bench::run(as_json);
}
