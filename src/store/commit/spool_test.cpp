// Aim: what a spool took is never lost to kill -9 and never comes twice; a torn end is an end, a
// damaged middle is refused. Method: laps of random records against a list in memory, read back by
// a start at every moment; bytes cut and flipped; then a process that is killed while it appends,
// with what it acknowledged read from its pipe (the parent trusts nothing that the child kept).
#include "store/commit/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/bytes.h"
#include "base/env.h"

namespace qw::store {
namespace {

using ::testing::HasSubstr;

constexpr size_t kSmall = 4096 * 3;  // two pages of ring
constexpr PartitionId kLane{7};

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-spool-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    options_.folder = folder_ + "/data";
    open();
  }
  ~SpoolTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() { store_ = Store::open(options_, metrics_).value(); }
  std::string spools() const { return folder_ + "/spool"; }
  std::string file(uint64_t id) const { return fmt::format("{}/{:016x}.spool", spools(), id); }

  // As a start does it. Returns how many records were found.
  uint64_t recover() {
    Txn txn;
    const auto found = recover_spools(spools(), *store_, txn);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().to_string());
    if (!found.ok()) return 0;
    notes_ = found->notes;
    EXPECT_TRUE(store_->commit(txn, Durability::kProcess).ok());
    EXPECT_TRUE(remove_spools(*found, txn).ok());
    EXPECT_TRUE(store_->commit(txn, Durability::kProcess).ok());
    return found->records;
  }
  void commit(Spool& spool) {
    Txn txn;
    if (spool.drain(txn)) {
      ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
    }
    spool.release();
  }
  std::vector<std::string> log() const {
    std::vector<std::string> rows;
    uint64_t expected = 1;
    EXPECT_TRUE(store_
                    ->scan(Log::kDecisions, kLane, Seq{1}, Seq{UINT64_MAX},
                           [&](Seq seq, std::string_view record) {
                             EXPECT_EQ(seq.value(), expected++);
                             rows.emplace_back(record);
                             return true;
                           })
                    .ok());
    return rows;
  }
  // Leaves the file as a killed process would: mapped bytes written, nothing drained or removed.
  std::string copy_of(const Spool& spool) const {
    std::ifstream in(file(spool.id()), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put_file(uint64_t id, const std::string& bytes) const {
    std::filesystem::create_directories(spools());
    std::ofstream(file(id), std::ios::binary) << bytes;
  }
  std::vector<std::string> spool_meta() const {
    std::vector<std::string> names;
    EXPECT_TRUE(store_
                    ->scan_meta("spool/",
                                [&](std::string_view name, std::string_view) {
                                  names.emplace_back(name);
                                  return true;
                                })
                    .ok());
    return names;
  }

  std::string folder_;
  StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> notes_;
};

std::string random_record(Random& random, size_t most) {
  std::string bytes(random.below(most), '\0');
  for (char& c : bytes) c = static_cast<char>(random.next_u64());
  return bytes;
}

// Every tenth step the process "dies": the file is set aside as it is, at any of the moments before
// and after a drain, a commit and a release.
TEST_F(SpoolTest, LapsOfRandomRecordsAreThereOnceWhereverItStops) {
  Random random(1);
  std::vector<std::string> appended;
  uint64_t full = 0;
  for (uint64_t life = 1; life <= 60; ++life) {
    auto spool = Spool::create(spools(), life, kSmall).value();
    const uint64_t steps = random.below(200);
    for (uint64_t step = 0; step < steps; ++step) {
      const std::string record = random_record(random, spool->record_bytes_max());
      const auto done = spool->append(Log::kDecisions, kLane, Seq{appended.size() + 1}, record);
      if (done.ok()) {
        appended.push_back(record);
      } else {
        ++full;
        EXPECT_EQ(done.error().code, ErrorCode::kExhausted);
      }
      if (!done.ok() || random.below(4) == 0) commit(*spool);
    }
    Txn txn;
    const uint64_t moment = random.below(4);
    if (moment >= 1) spool->drain(txn);
    if (moment >= 2) {
      ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
    }
    if (moment == 3) spool->release();
    const std::string left = copy_of(*spool);
    spool.reset();
    put_file(life, left);
    recover();
    ASSERT_EQ(log(), appended) << "life " << life << ", stopped at moment " << moment;
    EXPECT_FALSE(std::filesystem::exists(file(life)));
    EXPECT_TRUE(spool_meta().empty());
  }
  EXPECT_GT(full, 20u);
  EXPECT_GT(appended.size(), 2000u);
}

TEST_F(SpoolTest, AStartThatDiesBeforeItRemovesTheFileFindsNothingTwice) {
  auto spool = Spool::create(spools(), 1, kSmall).value();
  for (uint64_t seq = 1; seq <= 5; ++seq)
    ASSERT_TRUE(spool->append(Log::kDecisions, kLane, Seq{seq}, fmt::format("r{}", seq)).ok());
  const std::string left = copy_of(*spool);
  spool.reset();
  for (int start = 0; start < 3; ++start) {
    put_file(1, left);
    Txn txn;
    const auto found = recover_spools(spools(), *store_, txn);
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->records, start == 0 ? 5u : 0u);
    ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
  }
  EXPECT_EQ(log().size(), 5u);
}

TEST_F(SpoolTest, AnAppendThatWasCutIsTheEnd) {
  auto spool = Spool::create(spools(), 1, kSmall).value();
  ASSERT_TRUE(spool->append(Log::kDecisions, kLane, Seq{1}, "first").ok());
  const std::string one = copy_of(*spool);
  ASSERT_TRUE(spool->append(Log::kDecisions, kLane, Seq{2}, std::string(300, 'x')).ok());
  const std::string two = copy_of(*spool);
  spool.reset();
  const auto differs = std::mismatch(one.begin(), one.end(), two.begin());
  const auto begin = static_cast<size_t>(differs.first - one.begin());
  for (size_t cut = begin; cut < begin + 348; cut += 7) {
    put_file(1, two.substr(0, cut) + one.substr(cut));
    Txn txn;
    const auto found = recover_spools(spools(), *store_, txn);
    ASSERT_TRUE(found.ok()) << "cut at " << cut;
    EXPECT_EQ(found->records, 1u) << "cut at " << cut;
  }
}

TEST_F(SpoolTest, ADamagedMiddleIsRefusedUnlessTheMachineStopped) {
  auto spool = Spool::create(spools(), 1, kSmall).value();
  for (uint64_t seq = 1; seq <= 9; ++seq)
    ASSERT_TRUE(spool->append(Log::kDecisions, kLane, Seq{seq}, std::string(200, 'r')).ok());
  const std::string whole = copy_of(*spool);
  spool.reset();
  for (size_t frame = 0; frame < 8; ++frame) {
    std::string bytes = whole;
    bytes[4096 + frame * 248 + 100] ^= 1;
    put_file(1, bytes);
    Txn txn;
    const auto found = recover_spools(spools(), *store_, txn);
    ASSERT_FALSE(found.ok()) << "frame " << frame;
    EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(found.error().to_string(), HasSubstr("acknowledged are missing"));
    EXPECT_TRUE(txn.empty());
    EXPECT_TRUE(std::filesystem::exists(file(1)));
  }
}

TEST_F(SpoolTest, AfterAPowerCutWhatReachedTheDiskIsTaken) {
  auto spool = Spool::create(spools(), 1, kSmall).value();
  for (uint64_t seq = 1; seq <= 9; ++seq)
    ASSERT_TRUE(spool->append(Log::kDecisions, kLane, Seq{seq}, std::string(200, 'r')).ok());
  std::string bytes = copy_of(*spool);
  spool.reset();
  bytes[4096 + 4 * 248 + 100] ^= 1;
  // Another boot: the head is sealed anew, as that kernel would have written it.
  bytes[24] = bytes[24] == 'a' ? 'b' : 'a';
  const uint64_t check = checksum64(std::string_view(bytes).substr(0, 64));
  std::memcpy(bytes.data() + 64, &check, sizeof check);
  put_file(1, bytes);
  EXPECT_EQ(recover(), 4u);
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_THAT(notes_.front(), HasSubstr("the machine stopped"));
}

TEST_F(SpoolTest, OtherFilesAreNeitherReadNorRemoved) {
  std::filesystem::create_directories(spools());
  const std::string names[] = {"notes.txt", "0000000000000001.spool.bak", "x.spool",
                               "000000000000000G.spool"};
  for (const auto& name : names) std::ofstream(spools() + "/" + name) << "mine";
  put_file(9, std::string(kSmall, '\0'));  // made, and not begun
  EXPECT_EQ(recover(), 0u);
  for (const auto& name : names)
    EXPECT_TRUE(std::filesystem::exists(spools() + "/" + name)) << name;
  EXPECT_FALSE(std::filesystem::exists(file(9)));
  EXPECT_TRUE(notes_.empty());
}

TEST_F(SpoolTest, RefusesWhatDoesNotFit) {
  auto spool = Spool::create(spools(), 1, kSmall).value();
  const std::string large(spool->record_bytes_max() + 1, 'x');
  EXPECT_EQ(spool->append(Log::kDecisions, kLane, Seq{1}, large).error().code,
            ErrorCode::kExhausted);
  uint64_t taken = 0;
  while (spool->append(Log::kDecisions, kLane, Seq{taken + 1}, std::string(1000, 'x')).ok())
    ++taken;
  EXPECT_EQ(taken, 7u);  // 8192 bytes, 1048 each
  commit(*spool);
  EXPECT_TRUE(spool->append(Log::kDecisions, kLane, Seq{taken + 1}, "more").ok());
  commit(*spool);
  spool.reset();
  EXPECT_FALSE(std::filesystem::exists(file(1)));
  EXPECT_EQ(log().size(), 8u);
}

TEST_F(SpoolTest, AFullDiskIsToldWhenItIsMade) {
  const auto limited = [](rlim_t bytes) {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  limited(8192);
  const auto spool = Spool::create(spools(), 1, kSmall);
  limited(RLIM_INFINITY);
  std::signal(SIGXFSZ, before);
  ASSERT_FALSE(spool.ok());
  EXPECT_EQ(spool.error().code, ErrorCode::kExhausted);
  EXPECT_FALSE(std::filesystem::exists(file(1)));
}

// The child: appends as fast as it can, tells each acknowledgement on its pipe, drains and commits
// beside it. Ends only by the parent's kill.
[[noreturn]] void serve_until_killed(const StoreOptions& options, const std::string& spools,
                                     uint64_t id, uint64_t first, int pipe) {
  MetricRegistry metrics;
  auto store = Store::open(options, metrics).value();
  auto spool = Spool::create(spools, id, kSmall * 4).value();
  std::jthread committer([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      Txn txn;
      if (!spool->drain(txn)) continue;
      QW_ASSERT(store->commit(txn, Durability::kProcess).ok());
      spool->release();
    }
  });
  Random random(id);
  for (uint64_t seq = first;;) {
    const std::string record = fmt::format("{:>{}}", seq, 1 + random.below(1000));
    if (!spool->append(Log::kDecisions, kLane, Seq{seq}, record).ok()) continue;  // full: commits
    QW_ASSERT(::write(pipe, &seq, sizeof seq) == sizeof seq);
    ++seq;
  }
}

TEST_F(SpoolTest, EveryAcknowledgedRecordSurvivesKills) {
  Random random(3);
  uint64_t replied = 0, found = 0, recovered = 0;
  for (uint64_t life = 1; life <= 12; ++life) {
    store_.reset();
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      serve_until_killed(options_, spools(), life, found + 1, ends[1]);
    }
    ::close(ends[1]);
    const uint64_t replies = 1 + random.below(1500);
    uint64_t seq = 0;
    for (uint64_t i = 0; i < replies; ++i) {
      ASSERT_EQ(::read(ends[0], &seq, sizeof seq), static_cast<ssize_t>(sizeof seq));
      replied = seq;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (::read(ends[0], &seq, sizeof seq) == static_cast<ssize_t>(sizeof seq)) replied = seq;
    ::close(ends[0]);
    open();
    recovered += recover();
    const auto rows = log();  // each seq once, none missing
    for (size_t row = found; row < rows.size(); ++row) ASSERT_EQ(std::stoull(rows[row]), row + 1);
    found = rows.size();
    ASSERT_GE(found, replied) << "life " << life;
    ASSERT_LE(found, replied + 1) << "life " << life;
  }
  EXPECT_GT(recovered, 0u) << "no kill came between an append and its commit";
}

}  // namespace
}  // namespace qw::store
