// Aim: what Store::commit acknowledged survives a crash as promised, and no commit is ever found
// in part. Method: a numbered commit writes its number everywhere (logs, settings, outbox, state of
// several pages); the disk dies at a seeded operation; after the crash the folder must hold exactly
// what the first N commits wrote, for an N that the acknowledgements allow. Several lives per seed,
// on one folder. `--seed N` replays one seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "simulated_disk.h"
#include "store/store.h"

namespace qw::sim {

uint64_t only_seed = 0;  // from the command line; 0: all

namespace {

using store::Durability;
using store::Log;
using store::StateId;
using store::StatePages;
using store::Store;
using store::Txn;

constexpr PartitionId kPartition{1};
constexpr uint64_t kKeys = 7;

struct Contents {
  std::map<std::pair<int, uint64_t>, std::string> logs;
  std::map<uint64_t, std::string> outbox;
  std::map<uint64_t, std::string> states;
  friend bool operator==(const Contents&, const Contents&) = default;
};

// What commit `number` does: the same every time it is asked, to a transaction and to a plain map.
class Workload {
 public:
  explicit Workload(uint64_t seed) : seed_(seed) {}

  void write(uint64_t number, Txn& txn, std::map<uint64_t, StatePages>& pages,
             const Contents& after) const {
    txn.put_meta("position", std::to_string(number));
    txn.append(Log::kEvents, kPartition, Seq{number}, record(number, 'e'));
    txn.append(Log::kDecisions, kPartition, Seq{number}, record(number, 'd'));
    txn.put_outbox("sink", Seq{number}, record(number, 'o'));
    if (number > 5) txn.erase_outbox("sink", Seq{number - 5});
    if (number % 16 == 0) txn.trim(Log::kEvents, kPartition, Seq{0}, Seq{number - 8});
    const uint64_t key = number % kKeys;
    txn.checkpoint(id(key), Seq{number}, after.states.at(key), pages[key]);
  }

  void write(uint64_t number, Contents& contents) const {
    contents.logs[{1, number}] = record(number, 'e');
    contents.logs[{2, number}] = record(number, 'd');
    contents.outbox[number] = record(number, 'o');
    if (number > 5) contents.outbox.erase(number - 5);
    if (number % 16 == 0)
      contents.logs.erase(contents.logs.begin(), contents.logs.lower_bound({1, number - 8}));
    Random random(seed_ * 31 + number);
    std::string& state = contents.states[number % kKeys];
    state.resize(1 + (number * 37) % 4000, 's');
    for (int i = 0; i < 5; ++i)
      state[random.below(state.size())] = static_cast<char>(random.below(256));
  }

  static StateId id(uint64_t key) { return {"owner", kPartition, std::to_string(key)}; }

 private:
  std::string record(uint64_t number, char kind) const {
    Random random(seed_ ^ (number * 131 + static_cast<uint64_t>(kind)));
    std::string text = std::to_string(number) + kind;
    text.resize(text.size() + random.below(300), kind);
    return text;
  }
  uint64_t seed_;
};

Contents read_all(const Store& store) {
  Contents contents;
  for (const int log : {1, 2})
    EXPECT_TRUE(store
                    .scan(static_cast<Log>(log), kPartition, Seq{0}, Seq{UINT64_MAX},
                          [&](Seq seq, std::string_view record) {
                            contents.logs[{log, seq.value()}] = record;
                            return true;
                          })
                    .ok());
  EXPECT_TRUE(store
                  .scan_outbox("sink", Seq{0}, SIZE_MAX,
                               [&](Seq seq, std::string_view row) {
                                 contents.outbox[seq.value()] = row;
                                 return true;
                               })
                  .ok());
  for (uint64_t key = 0; key < kKeys; ++key) {
    StatePages pages;
    const auto image = store.load_state(Workload::id(key), pages);
    EXPECT_TRUE(image.ok()) << image.error().to_string();
    if (image.ok() && image->has_value()) contents.states[key] = (*image)->bytes;
  }
  return contents;
}

// Waits are over at once.
class ImpatientClock final : public Clock {
 public:
  int64_t wall_us() const override { return real_clock().wall_us(); }
  int64_t monotonic_ns() const override { return real_clock().monotonic_ns(); }
  void sleep_us(int64_t) const override { real_clock().sleep_us(100); }
};

// One seed: several lives of a store on one simulated disk.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), workload_(seed) {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-sim-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    disk_ = std::make_shared<SimulatedDisk>(folder_, seed);
    options_.folder = folder_;
    options_.file_system = disk_;
    options_.clock = &clock_;
    options_.boot = "0";
    options_.min_free_bytes = 0;
    // Half of the seeds flush and compact while they run.
    options_.write_buffer_bytes = seed % 2 == 0 ? 64u << 10 : 8u << 20;
  }
  ~Life() {
    store_.reset();
    std::filesystem::remove_all(folder_);
    std::filesystem::remove_all(folder_ + ".aside");
  }

  // Commits until the disk dies, then brings the folder back and checks it.
  void live() {
    disk_->die_after(1 + random_.below(600));
    auto opened = Store::open(options_, metrics_);
    if (opened.ok()) {
      store_ = std::move(opened).value();
      check();
      if (::testing::Test::HasFailure()) return;
      commit_until_death();
    }
    store_.reset();
    const bool power_cut = random_.below(3) != 0;
    power_on(power_cut ? SimulatedDisk::Crash::kPowerCut : SimulatedDisk::Crash::kProcess);
    if (!power_cut) safe_ = std::max(safe_, acknowledged_);
    auto again = Store::open(options_, metrics_);
    ASSERT_TRUE(again.ok()) << again.error().to_string();
    store_ = std::move(again).value();
    check();
    store_.reset();
  }

  // Power cuts where one log of the database has been followed by the next and nothing was synced.
  void live_between_logs() { live_until(&SimulatedDisk::die_in_next_log); }
  // Power cuts in the middle of a change to the database's list of files.
  void live_in_manifest() { live_until(&SimulatedDisk::die_in_manifest); }
  void live_until(void (SimulatedDisk::*end)()) {
    options_.write_buffer_bytes = 64u << 10;
    store_ = Store::open(options_, metrics_).value();
    check();
    if (::testing::Test::HasFailure()) return;
    ((*disk_).*end)();
    while (commit_next(false).ok()) {
    }
    store_.reset();
    power_on(SimulatedDisk::Crash::kPowerCut);
    auto again = Store::open(options_, metrics_);
    ASSERT_TRUE(again.ok()) << again.error().to_string();
    store_ = std::move(again).value();
    check();
    store_.reset();
  }

  // The disk fills up in the middle of a commit and is emptied again. With a reserve the store
  // notices in time; without one the database fails half-way.
  void fill_up(uint64_t reserve_bytes) {
    options_.min_free_bytes = reserve_bytes;
    store_ = Store::open(options_, metrics_).value();
    check();
    for (int times = 0; times < 5 && !::testing::Test::HasFailure(); ++times) {
      disk_->limit_space(options_.min_free_bytes + random_.below(20'000));
      Result<void> committed;
      do committed = commit_next(random_.below(2) == 0);
      while (committed.ok());
      EXPECT_EQ(committed.error().code, ErrorCode::kExhausted) << committed.error().to_string();
      EXPECT_EQ(committed.error().how_to_mend.empty(), false);
      const uint64_t refused = next_;
      EXPECT_EQ(position(), refused - 1) << "a refused commit must not be visible";
      EXPECT_FALSE(retry(false).ok()) << "there is still no space";
      disk_->lift_space_limit();
      const auto retried = retry(true);
      EXPECT_TRUE(retried.ok()) << retried.error().to_string();
      EXPECT_TRUE(commit_next(true).ok());
    }
    store_.reset();
    power_on(SimulatedDisk::Crash::kPowerCut);
    store_ = Store::open(options_, metrics_).value();
    check();
    store_.reset();
  }

 private:
  void power_on(SimulatedDisk::Crash crash) {
    disk_->power_on(crash);
    if (crash == SimulatedDisk::Crash::kPowerCut) options_.boot = std::to_string(++boots_);
  }
  uint64_t position() const {
    const auto found = store_->get_meta("position").value();
    return found.has_value() ? std::stoull(*found) : 0;
  }

  // The folder holds the first N commits, whole; N is between what was promised and what was tried.
  void check() {
    const uint64_t found = position();
    ASSERT_GE(found, safe_) << "an acknowledged commit is lost";
    ASSERT_LE(found, attempted_);
    Contents wanted;
    for (uint64_t number = 1; number <= found; ++number) workload_.write(number, wanted);
    const Contents contents = read_all(*store_);
    ASSERT_EQ(contents.logs, wanted.logs);
    ASSERT_EQ(contents.outbox, wanted.outbox);
    ASSERT_EQ(contents.states, wanted.states);
    contents_ = std::move(wanted);
    next_ = found + 1;
    safe_ = attempted_ = acknowledged_ = found;  // the disk has just been read: this is there now
    pages_.clear();
    for (uint64_t key = 0; key < kKeys; ++key)
      ASSERT_TRUE(store_->load_state(Workload::id(key), pages_[key]).ok());
  }

  Result<void> commit_next(bool machine) {
    workload_.write(next_, contents_);
    txn_.clear();
    workload_.write(next_, txn_, pages_, contents_);
    return retry(machine);
  }
  Result<void> retry(bool machine) {
    attempted_ = next_;
    QW_TRY(store_->commit(txn_, machine ? Durability::kMachine : Durability::kProcess));
    acknowledged_ = next_;
    if (machine) safe_ = next_;
    ++next_;
    return {};
  }

  void commit_until_death() {
    for (int i = 0; i < 400; ++i)
      if (!commit_next(random_.below(3) == 0).ok()) break;
    disk_->die_now();
  }

  Random random_;
  Workload workload_;
  std::string folder_;
  ImpatientClock clock_;
  std::shared_ptr<SimulatedDisk> disk_;
  store::StoreOptions options_;
  uint64_t boots_ = 0;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
  Txn txn_;
  std::map<uint64_t, StatePages> pages_;
  Contents contents_;
  uint64_t next_ = 1;
  uint64_t safe_ = 0;          // survives a power cut
  uint64_t acknowledged_ = 0;  // survives kill -9
  uint64_t attempted_ = 0;
};

template <class Body>
void for_seeds(uint64_t count, const Body& body) {
  for (uint64_t i = 1; i <= count && !::testing::Test::HasFailure(); ++i) {
    const uint64_t seed = only_seed != 0 ? only_seed : i;
    SCOPED_TRACE("replay with --seed " + std::to_string(seed));
    body(seed);
    if (only_seed != 0) break;
  }
}

TEST(PowerCut, KeepsEveryAcknowledgedCommitWholeAndInOrder) {
  for_seeds(40, [](uint64_t seed) {
    Life life(seed);
    for (int lives = 0; lives < 5 && !::testing::Test::HasFailure(); ++lives) life.live();
  });
}

TEST(PowerCut, ALogIsNeverKeptWithoutTheEndOfTheOneBefore) {
  for_seeds(8, [](uint64_t seed) {
    Life life(seed);
    for (int lives = 0; lives < 3 && !::testing::Test::HasFailure(); ++lives)
      life.live_between_logs();
  });
}

TEST(PowerCut, AHalfWrittenListOfFilesIsNeverTheOneThatCounts) {
  for_seeds(8, [](uint64_t seed) {
    Life life(seed);
    for (int lives = 0; lives < 6 && !::testing::Test::HasFailure(); ++lives)
      life.live_in_manifest();
  });
}

TEST(PowerCut, AFullDiskRefusesCommitsWholeAndGoesOnWhenThereIsSpace) {
  for_seeds(12, [](uint64_t seed) {
    Life life(seed);
    life.fill_up(seed % 3 == 0 ? 50'000 : 0);
  });
}

}  // namespace
}  // namespace qw::sim

int main(int count, char** arguments) {
  ::testing::InitGoogleTest(&count, arguments);
  for (int i = 1; i + 1 < count; ++i)
    if (std::strcmp(arguments[i], "--seed") == 0)
      qw::sim::only_seed = std::strtoull(arguments[i + 1], nullptr, 10);
  return RUN_ALL_TESTS();
}
