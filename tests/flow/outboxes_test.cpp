// Aim: what becomes of a delivery is recorded once, with the end of its row, also when the disk
// takes nothing for a while.
// Method: the committer on a disk whose free space the test sets.
#include <rocksdb/file_system.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "flow_run.h"
#include "streams/sink.h"

namespace qw::test {
namespace {

class FullDisk final : public rocksdb::FileSystemWrapper {
 public:
  FullDisk() : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FullDisk"; }
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options,
                                 uint64_t* free_bytes, rocksdb::IODebugContext* context) override {
    if (refused < refuses && ++refused > 0) {
      *free_bytes = 0;
      return rocksdb::IOStatus::OK();
    }
    return rocksdb::FileSystemWrapper::GetFreeSpace(path, options, free_bytes, context);
  }
  std::atomic<int> refuses{0}, refused{0};
};

class Counts final : public app::Observer {
 public:
  void on_decision(const app::DecisionSeen&) override {}
  void on_journal(Seq, const schema::JournalRecord&) override { ++records; }
  std::atomic<int> records{0};
};

class OutboxesTest : public FlowTest {};

TEST_F(OutboxesTest, AnOutcomeIsRecordedOnceHoweverOftenTheDiskRefuses) {
  const auto disk = std::make_shared<FullDisk>();
  store::StoreOptions options;
  options.folder = root_;
  options.file_system = disk;
  auto opened = store::Store::open(options, metrics_);
  ASSERT_TRUE(opened.ok()) << opened.error().to_string();
  const auto store = std::move(opened).value();
  store::Txn rows;
  std::string bytes;
  streams::encode_outbox_row({"act-1", 1, "key", "{}"}, bytes);
  rows.put_outbox("hook", Seq{1}, bytes);
  ASSERT_TRUE(store->commit(rows, store::Durability::kProcess).ok());
  Counts counts;
  store::CommitterOptions fast;
  fast.retry_us = 1000;
  store::Committer committer(*store, real_clock(), metrics_, fast);
  ASSERT_TRUE(committer.open().ok());
  store::Journal journal(real_clock());
  journal.watch(counts);
  streams::OutcomeWriter outcomes(committer.lane("outboxes"), journal);
  committer.start();
  for (const int refuses : {1, 2, 3}) {  // the first try, the second, and so on
    disk->refused = 0;
    disk->refuses = refuses;
    int staged = 0;
    const auto done = outcomes.commit(
        [&](store::Txn& txn) {
          ++staged;
          txn.erase_outbox("hook", Seq{1});
        },
        {{"delivery_refused", 1, R"({"action_id":"act-1"})"}});
    ASSERT_TRUE(done.ok()) << done.error().to_string();
    EXPECT_EQ(staged, 1);
  }
  EXPECT_TRUE(committer.stop());
  EXPECT_EQ(counts.records, 3);
  EXPECT_EQ(journal_of(*store).size(), 3u) << "one for each outcome";
  EXPECT_TRUE(streams::read_outbox_of(*store, "hook")->read(Seq{0}, 10)->empty());
}

}  // namespace
}  // namespace qw::test
