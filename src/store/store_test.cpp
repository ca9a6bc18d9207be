// Aim: the store keeps every promise of store.h that a healthy disk and kill -9 allow (power cuts
// and full disks: tests/sim). Method: random transactions against maps in memory, reopening at
// random moments; then one test per promise that randomness would rarely meet.
#include "store/store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace qw::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-store-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    options_.folder = folder_;
    reopen();
  }
  ~StoreTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void reopen() {
    store_.reset();
    store_ = Store::open(options_, metrics_).value();
  }
  void commit(Txn& txn) { ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok()); }

  std::vector<std::pair<uint64_t, std::string>> log(Log log, uint32_t partition, uint64_t from = 0,
                                                    uint64_t to = UINT64_MAX) {
    std::vector<std::pair<uint64_t, std::string>> rows;
    EXPECT_TRUE(store_
                    ->scan(log, PartitionId{partition}, Seq{from}, Seq{to},
                           [&](Seq seq, std::string_view record) {
                             rows.emplace_back(seq.value(), record);
                             return true;
                           })
                    .ok());
    return rows;
  }
  std::vector<std::string> keys(const std::string& owner, uint32_t partition) {
    std::vector<std::string> found;
    EXPECT_TRUE(store_
                    ->scan_states(owner, PartitionId{partition},
                                  [&](std::string_view key, Seq) {
                                    found.emplace_back(key);
                                    return true;
                                  })
                    .ok());
    return found;
  }

  std::string folder_;
  StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<Store> store_;
};

std::string random_bytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.below(3));  // few values: zeros in names too
  return bytes;
}

const std::string kOwners[] = {"view", std::string("view\0x", 6)};

// What the store should hold.
struct Model {
  std::map<std::tuple<int, uint32_t, uint64_t>, std::string> logs;
  std::map<std::string, std::string> meta;
  std::map<std::pair<std::string, uint64_t>, std::string> outbox;
  std::map<std::tuple<std::string, uint32_t, std::string>, StateImage> states;
  std::map<std::pair<int, uint32_t>, uint64_t> last;
  std::map<std::string, uint64_t> last_outbox;
};

class RandomTransactions {
 public:
  RandomTransactions(uint64_t seed, Model& model) : random_(seed), model_(model) {}

  void fill(Txn& txn) {
    for (uint64_t i = random_.below(12); i > 0; --i) step(txn);
  }
  void forget_pages() { pages_.clear(); }
  std::map<std::tuple<std::string, uint32_t, std::string>, StatePages>& pages() { return pages_; }

 private:
  void step(Txn& txn) {
    const int log = 1 + static_cast<int>(random_.below(4));
    const auto partition = static_cast<uint32_t>(random_.below(2) * 255);
    const std::string name = random_bytes(random_, random_.below(4));
    switch (random_.below(8)) {
      case 0:
      case 1: append(txn, log, partition); break;
      case 2: trim(txn, log, partition); break;
      case 3:
        txn.put_meta(name, "v" + name);
        model_.meta[name] = "v" + name;
        break;
      case 4:
        txn.erase_meta(name);
        model_.meta.erase(name);
        break;
      case 5: outbox(txn, name); break;
      case 6:
      case 7: state(txn, kOwners[random_.below(2)], partition, name); break;
      default: break;
    }
  }
  void append(Txn& txn, int log, uint32_t partition) {
    uint64_t& last = model_.last[{log, partition}];
    last += 1 + random_.below(3);
    const std::string record = random_bytes(random_, random_.below(100));
    txn.append(static_cast<Log>(log), PartitionId{partition}, Seq{last}, record);
    model_.logs[{log, partition, last}] = record;
  }
  void trim(Txn& txn, int log, uint32_t partition) {
    const uint64_t to = 1 + random_.below(model_.last[{log, partition}] + 1);
    txn.trim(static_cast<Log>(log), PartitionId{partition}, Seq{0}, Seq{to});
    std::erase_if(model_.logs, [&](const auto& row) {
      const auto& [its_log, its_partition, seq] = row.first;
      return its_log == log && its_partition == partition && seq < to;
    });
  }
  void outbox(Txn& txn, const std::string& sink) {
    const uint64_t seq = ++model_.last_outbox[sink];
    txn.put_outbox(sink, Seq{seq}, "row");
    model_.outbox[{sink, seq}] = "row";
    const uint64_t done = 1 + random_.below(seq);
    txn.erase_outbox(sink, Seq{done});
    model_.outbox.erase({sink, done});
  }
  void state(Txn& txn, const std::string& owner, uint32_t partition, const std::string& key) {
    const auto id = std::tuple(owner, partition, key);
    const StateId state_id{owner, PartitionId{partition}, key};
    if (random_.below(6) == 0) {
      txn.erase_state(state_id);
      model_.states.erase(id);
      pages_.erase(id);
      return;
    }
    StateImage& image = model_.states[id];
    image.applied = Seq{image.applied.value() + 1};
    if (random_.below(3) == 0) image.bytes.resize(random_.below(6 * kStatePageBytes), 'x');
    if (!image.bytes.empty())
      image.bytes[random_.below(image.bytes.size())] = static_cast<char>(random_.below(256));
    txn.checkpoint(state_id, image.applied, image.bytes, pages_[id]);
  }

  Random random_;
  Model& model_;
  std::map<std::tuple<std::string, uint32_t, std::string>, StatePages> pages_;
};

void expect_equal(const Store& store, const Model& model) {
  Model found;
  for (int log = 1; log <= 4; ++log)
    for (const uint32_t partition : {0u, 255u}) {
      const auto read = store.scan(static_cast<Log>(log), PartitionId{partition}, Seq{0},
                                   Seq{UINT64_MAX}, [&](Seq seq, std::string_view record) {
                                     found.logs[{log, partition, seq.value()}] = record;
                                     return true;
                                   });
      ASSERT_TRUE(read.ok());
      const auto last = model.last.find({log, partition});
      EXPECT_EQ(store.last_seq(static_cast<Log>(log), PartitionId{partition}).value().value(),
                last == model.last.end() ? 0 : last->second);
    }
  ASSERT_TRUE(store
                  .scan_meta("",
                             [&](std::string_view name, std::string_view value) {
                               // The store's own does not come from transactions.
                               if (name != "folder/id") found.meta[std::string(name)] = value;
                               return true;
                             })
                  .ok());
  std::vector<std::string> sinks;
  for (const auto& [sink, last] : model.last_outbox)
    if (last > 0) sinks.push_back(sink);
  EXPECT_EQ(store.outbox_sinks().value(), sinks);
  for (const auto& [sink, last] : model.last_outbox) {
    EXPECT_EQ(store.last_outbox_seq(sink).value().value(), last);
    ASSERT_TRUE(store
                    .scan_outbox(sink, Seq{0}, 1000,
                                 [&, sink = sink](Seq seq, std::string_view row) {
                                   found.outbox[{sink, seq.value()}] = row;
                                   return true;
                                 })
                    .ok());
  }
  EXPECT_EQ(found.logs, model.logs);
  EXPECT_EQ(found.meta, model.meta);
  EXPECT_EQ(found.outbox, model.outbox);
  size_t states = 0;
  for (const std::string& owner : kOwners)
    for (const uint32_t partition : {0u, 255u}) {
      std::string previous;
      const auto listed =
          store.scan_states(owner, PartitionId{partition}, [&](std::string_view key, Seq applied) {
            EXPECT_LE(previous, key);
            previous = key;
            const auto wanted = model.states.find({owner, partition, previous});
            EXPECT_NE(wanted, model.states.end());
            if (wanted == model.states.end()) return false;
            StatePages pages;
            const auto image = store.load_state({owner, PartitionId{partition}, previous}, pages);
            EXPECT_TRUE(image.ok() && image->has_value());
            EXPECT_EQ((*image)->bytes, wanted->second.bytes);
            EXPECT_EQ((*image)->applied, wanted->second.applied);
            EXPECT_EQ(applied, wanted->second.applied);
            ++states;
            return true;
          });
      ASSERT_TRUE(listed.ok());
    }
  EXPECT_EQ(states, model.states.size());
}

TEST_F(StoreTest, HoldsWhatRandomTransactionsWroteAcrossReopening) {
  options_.write_buffer_bytes = 64u << 10;  // so that flushes and compactions take part
  Model model;
  RandomTransactions transactions(20261123, model);
  Random random(7);
  for (int round = 0; round < 1500; ++round) {
    Txn txn;
    transactions.fill(txn);
    ASSERT_TRUE(
        store_->commit(txn, random.below(20) == 0 ? Durability::kMachine : Durability::kProcess)
            .ok());
    EXPECT_TRUE(txn.empty());
    if (random.below(100) != 0) continue;
    reopen();
    ASSERT_NO_FATAL_FAILURE(expect_equal(*store_, model));
    for (auto& [id, pages] : transactions.pages())  // as a restarted process would
      ASSERT_TRUE(
          store_
              ->load_state({std::get<0>(id), PartitionId{std::get<1>(id)}, std::get<2>(id)}, pages)
              .ok());
  }
  ASSERT_NO_FATAL_FAILURE(expect_equal(*store_, model));
}

TEST_F(StoreTest, ReadingAloneSeesAllAndChangesNothing) {
  Txn txn;
  txn.append(Log::kEvents, PartitionId{1}, Seq{1}, "record");
  txn.put_outbox("out", Seq{1}, "row");
  ASSERT_TRUE(store_->commit(txn, Durability::kProcess).ok());
  store_.reset();
  StoreOptions reading = options_;
  reading.read_only = true;
  const auto files = [&] {
    std::map<std::string, uintmax_t> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options_.folder))
      if (entry.is_regular_file() && entry.path().filename().string().rfind("LOG", 0) != 0)
        found[entry.path().string()] = entry.file_size();
    return found;
  };
  const auto before = files();
  {
    const auto store = Store::open(reading, metrics_);
    ASSERT_TRUE(store.ok()) << store.error().to_string();
    EXPECT_EQ(store.value()->last_seq(Log::kEvents, PartitionId{1}).value(), Seq{1});
    EXPECT_EQ(store.value()->outbox_sinks().value(), std::vector<std::string>{"out"});
    EXPECT_EQ(Store::open(options_, metrics_).error().code, ErrorCode::kConflict);
    txn.put_meta("a", "b");
    EXPECT_FALSE(store.value()->commit(txn, Durability::kProcess).ok());
  }
  EXPECT_EQ(files(), before);
  reading.folder += "/nothing";
  EXPECT_EQ(Store::open(reading, metrics_).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(reading.folder));
  store_ = Store::open(options_, metrics_).value();
}

// Edits the database behind the store's back.
void edit_state_rows(const std::string& folder,
                     const std::function<void(rocksdb::DB&, rocksdb::ColumnFamilyHandle*)>& edit) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : {"default", "log", "meta", "outbox", "state"})
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  ASSERT_TRUE(
      rocksdb::DB::Open(rocksdb::DBOptions(), folder + "/db", families, &handles, &raw).ok());
  const std::unique_ptr<rocksdb::DB> db(raw);
  edit(*db, handles.back());
  for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
}

size_t page_rows(const std::string& folder) {
  size_t rows = 0;
  edit_state_rows(folder, [&](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* state) {
    const std::unique_ptr<rocksdb::Iterator> row(db.NewIterator({}, state));
    for (row->Seek("p"); row->Valid(); row->Next()) ++rows;
  });
  return rows;
}

TEST_F(StoreTest, CheckpointWritesOnlyThePagesThatChanged) {
  const StateId id{"model/anomaly@1", PartitionId{0}, "cpu"};
  std::string bytes(57'000, 'a');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7919);
  StatePages pages;
  Txn txn;
  const size_t whole = txn.checkpoint(id, Seq{1}, bytes, pages);
  EXPECT_GT(whole, bytes.size());
  bytes[40'000] ^= 1;
  const size_t one_page = txn.checkpoint(id, Seq{2}, bytes, pages);
  EXPECT_GT(one_page, kStatePageBytes);
  EXPECT_LT(one_page, kStatePageBytes + 300);
  EXPECT_LT(txn.checkpoint(id, Seq{3}, bytes, pages), 200u);  // the header alone
  commit(txn);

  StatePages loaded;
  const auto image = store_->load_state(id, loaded).value();
  EXPECT_EQ(image->applied, Seq{3});
  EXPECT_EQ(image->bytes, bytes);
  EXPECT_EQ(loaded.page_hashes, pages.page_hashes);
  EXPECT_LT(txn.checkpoint(id, Seq{4}, bytes, loaded), 200u);
}

TEST_F(StoreTest, RowsOfSeveralLogsInTurnAreEachInTheirPlace) {
  Txn txn;
  EXPECT_TRUE(txn.empty());
  for (uint64_t seq = 1; seq <= 3; ++seq)
    for (const Log log : {Log::kDecisions, Log::kEvents})
      txn.append(log, PartitionId{7}, Seq{seq}, fmt::format("{}", seq));
  EXPECT_FALSE(txn.empty());
  EXPECT_GT(txn.bytes(), 6u);
  txn.trim(Log::kEvents, PartitionId{7}, Seq{0}, Seq{3});  // what this one appended is among it
  txn.append(Log::kEvents, PartitionId{7}, Seq{4}, "4");
  commit(txn);
  EXPECT_TRUE(txn.empty());
  const auto records = [this](Log log) {
    std::string all;
    EXPECT_TRUE(store_
                    ->scan(log, PartitionId{7}, Seq{0}, Seq{UINT64_MAX},
                           [&](Seq, std::string_view record) {
                             all += record;
                             return true;
                           })
                    .ok());
    return all;
  };
  EXPECT_EQ(records(Log::kEvents), "34");
  EXPECT_EQ(records(Log::kDecisions), "123");
  txn.append(Log::kEvents, PartitionId{7}, Seq{5}, "5");
  txn.clear();
  commit(txn);
  EXPECT_EQ(records(Log::kEvents), "34");
}

TEST_F(StoreTest, ShrinkingAStateRemovesItsSurplusPages) {
  const StateId id{"o", PartitionId{0}, "k"};
  StatePages pages;
  Txn txn;
  txn.checkpoint(id, Seq{1}, std::string(10 * kStatePageBytes, 'x'), pages);
  txn.checkpoint(id, Seq{2}, std::string(kStatePageBytes + 1, 'y'), pages);
  commit(txn);
  store_.reset();
  EXPECT_EQ(page_rows(folder_), 2u);
  reopen();
  EXPECT_EQ(store_->load_state(id, pages).value()->bytes, std::string(kStatePageBytes + 1, 'y'));
  txn.checkpoint(id, Seq{3}, "", pages);
  commit(txn);
  EXPECT_EQ(store_->load_state(id, pages).value()->bytes, "");
  EXPECT_THAT(keys("o", 0), ElementsAre("k"));
}

TEST_F(StoreTest, StatesOfOtherOwnersPartitionsAndKeysStayApart) {
  const std::string zero("\0", 1);
  Txn txn;
  for (const std::string& owner : {std::string("a"), std::string("a") + zero, std::string("ab")})
    for (const std::string& key : {std::string(""), zero, zero + zero, std::string("k")}) {
      StatePages pages;
      txn.checkpoint({owner, PartitionId{1}, key}, Seq{1}, owner + "/" + key, pages);
    }
  commit(txn);
  EXPECT_THAT(keys("a", 1), ElementsAre("", zero, zero + zero, "k"));
  EXPECT_THAT(keys("a", 0), ElementsAre());
  txn.erase_state({"a", PartitionId{1}, zero});
  txn.erase_owner("ab");
  commit(txn);
  EXPECT_THAT(keys("a", 1), ElementsAre("", zero + zero, "k"));
  EXPECT_THAT(keys("a" + zero, 1), ElementsAre("", zero, zero + zero, "k"));
  EXPECT_THAT(keys("ab", 1), ElementsAre());
  StatePages pages;
  EXPECT_EQ(store_->load_state({"a", PartitionId{1}, zero + zero}, pages).value()->bytes,
            "a/" + zero + zero);
  EXPECT_FALSE(store_->load_state({"ab", PartitionId{1}, "k"}, pages).value().has_value());
}

TEST_F(StoreTest, LogsScanBothWaysAndStopWhenTold) {
  Txn txn;
  for (const uint64_t seq : {1, 5, 9, 1000})
    txn.append(Log::kEvents, PartitionId{3}, Seq{seq}, std::to_string(seq));
  txn.append(Log::kEvents, PartitionId{4}, Seq{2}, "other partition");
  txn.append(Log::kDecisions, PartitionId{3}, Seq{2}, "other log");
  commit(txn);
  using Row = std::pair<uint64_t, std::string>;
  EXPECT_THAT(log(Log::kEvents, 3, 5, 1000), ElementsAre(Row{5, "5"}, Row{9, "9"}));
  EXPECT_THAT(log(Log::kEvents, 3, 9, 9), ElementsAre());
  std::vector<uint64_t> newest;
  const auto collect = [&](Seq seq, std::string_view) {
    newest.push_back(seq.value());
    return true;
  };
  ASSERT_TRUE(store_->scan_back(Log::kEvents, PartitionId{3}, Seq{1000}, 2, collect).ok());
  EXPECT_THAT(newest, ElementsAre(9, 5));
  EXPECT_EQ(store_->last_seq(Log::kEvents, PartitionId{3}).value(), Seq{1000});
}

TEST_F(StoreTest, LastSeqNeverGoesBackWhenALogIsTrimmed) {
  Txn txn;
  txn.append(Log::kJournal, PartitionId{0}, Seq{41}, "x");
  commit(txn);
  txn.trim(Log::kJournal, PartitionId{0}, Seq{0}, Seq{42});
  commit(txn);
  reopen();
  EXPECT_THAT(log(Log::kJournal, 0), ElementsAre());
  EXPECT_EQ(store_->last_seq(Log::kJournal, PartitionId{0}).value(), Seq{41});
}

TEST_F(StoreTest, ASecondOpenIsRefusedAndNamesTheHolder) {
  MetricRegistry metrics;
  const auto second = Store::open(options_, metrics);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_THAT(second.error().to_string(), HasSubstr(std::to_string(::getpid())));
  EXPECT_THAT(second.error().to_string(), HasSubstr(folder_));
}

TEST_F(StoreTest, ANewerOrDamagedFolderIsRefusedWithHowToMend) {
  store_.reset();
  MetricRegistry metrics;
  const auto open_with_format = [&](const std::string& text) {
    std::ofstream(folder_ + "/FORMAT", std::ios::trunc) << text;
    return Store::open(options_, metrics).error();
  };
  const Error newer = open_with_format("quickwater data 2\n");
  EXPECT_EQ(newer.code, ErrorCode::kUnsupported);
  EXPECT_THAT(newer.to_string(), HasSubstr("format 2"));
  EXPECT_THAT(newer.how_to_mend, HasSubstr("newer"));
  EXPECT_EQ(open_with_format("rubbish").code, ErrorCode::kCorrupt);
  std::filesystem::remove(folder_ + "/FORMAT");
  EXPECT_EQ(Store::open(options_, metrics).error().code, ErrorCode::kCorrupt);
}

TEST_F(StoreTest, ADamagedDatabaseIsRefusedWithHowToMend) {
  store_.reset();
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/db"))
    if (entry.path().filename().string().starts_with("MANIFEST"))
      std::ofstream(entry.path(), std::ios::trunc) << "not a manifest, but long enough to be read";
  MetricRegistry metrics;
  const auto opened = Store::open(options_, metrics);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(opened.error().how_to_mend, HasSubstr("copy"));
}

TEST_F(StoreTest, AMissingOrAlteredPageIsCorruptNotAWrongState) {
  const StateId id{"o", PartitionId{0}, "k"};
  StatePages pages;
  Txn txn;
  txn.checkpoint(id, Seq{1}, std::string(3 * kStatePageBytes, 'x'), pages);
  commit(txn);
  for (const bool remove : {false, true}) {
    store_.reset();
    edit_state_rows(folder_, [&](rocksdb::DB& db, rocksdb::ColumnFamilyHandle* state) {
      const std::unique_ptr<rocksdb::Iterator> rows(db.NewIterator({}, state));
      rows->Seek("p");
      rows->Next();
      const std::string key = rows->key().ToString();
      ASSERT_TRUE((remove ? db.Delete({}, state, key)
                          : db.Put({}, state, key, std::string(kStatePageBytes, 'y')))
                      .ok());
    });
    reopen();
    const auto image = store_->load_state(id, pages);
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(image.error().to_string(), HasSubstr("key k"));
    EXPECT_THAT(image.error().how_to_mend, HasSubstr("rebuilt"));
  }
}

TEST_F(StoreTest, CountsCommitsAndTheirBytes) {
  Txn txn;
  txn.put_meta("a", std::string(1000, 'b'));
  commit(txn);
  Counter& commits = metrics_.counter("quickwater_store_commits_total", "");
  EXPECT_EQ(commits.value(), 1u);
  EXPECT_GT(metrics_.counter("quickwater_store_commit_bytes_total", "").value(), 1000u);
  EXPECT_EQ(metrics_.latency("quickwater_store_commit_seconds", "").count(), 1u);
  EXPECT_GT(store_->disk_bytes(), 1000u);
}

}  // namespace
}  // namespace qw::store
