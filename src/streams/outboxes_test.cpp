// Aim: no row is erased without what its sink wrote of the delivery, wherever a commit falls in
// between. Method: a commit that is kept in the middle of its lanes while the delivery happens, and
// what a start would find after it.
#include "streams/outboxes.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "store/commit/committer.h"

namespace qw::streams {
namespace {

// Delivers once it may, and writes that into a lane.
class WritingSink final : public Sink {
 public:
  WritingSink(store::Lane& lane, store::Journal& journal, std::shared_future<void> may)
      : lane_(lane), journal_(journal), may_(std::move(may)) {}
  Result<Start> open(std::string_view) override { return Start{}; }
  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    may_.wait();
    auto held = lane_.hold();
    journal_.append(held.open(), store::SystemBody{"test", rows.front().row.action_id, ""});
    return {1, Delivered{}};
  }

 private:
  store::Lane& lane_;
  store::Journal& journal_;
  const std::shared_future<void> may_;
};

class OutboxesTest : public testing::Test {
 protected:
  OutboxesTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "qw-outboxes-XXXXXX";
    options_.folder = ::mkdtemp(pattern.data());
    store_ = store::Store::open(options_, metrics_).value();
    committer_ = std::make_unique<store::Committer>(*store_, real_clock(), metrics_,
                                                    store::CommitterOptions());
    EXPECT_TRUE(committer_->open().ok());
  }
  ~OutboxesTest() override {
    committer_.reset();
    store_.reset();
    std::filesystem::remove_all(options_.folder);
  }
  size_t rows() const { return read_outbox_of(*store_, "hook")->read(Seq{}, 10)->size(); }
  uint64_t records() const {
    return store_->last_seq(store::Log::kJournal, store::kJournalPartition)->value();
  }
  template <class Condition>
  static void wait_until(const Condition& holds) {
    while (!holds()) real_clock().sleep_us(1000);
  }

  store::StoreOptions options_;
  MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Committer> committer_;
};

TEST_F(OutboxesTest, ARowIsErasedWithWhatItsSinkWroteOrAfterIt) {
  store::Lane& own = committer_->lane("own");
  store::Lane& between = committer_->lane("between");
  store::Lane& others = committer_->lane("others");
  store::Journal journal(real_clock());
  Outboxes outboxes(*store_, others, journal, real_clock(), metrics_);
  std::promise<void> may;
  OutboxOptions hook;
  hook.sink = "hook";
  ASSERT_TRUE(
      outboxes.add(hook, std::make_unique<WritingSink>(own, journal, may.get_future()), &own).ok());
  outboxes.put(own.hold().open(), "hook", {"a", 1, "key", "{}"});
  ASSERT_TRUE(committer_->step().ok());
  ASSERT_TRUE(outboxes.start().ok());
  own.hold().open().txn.put_meta("mark", "1");
  std::thread commit;
  {
    const auto held = between.hold();
    commit = std::thread([&] { ASSERT_TRUE(committer_->step().ok()); });
    wait_until([&] { return own.hold().open().empty(); });
    may.set_value();
    wait_until([&] { return !own.hold().open().txn.empty() || !others.hold().open().txn.empty(); });
  }
  commit.join();
  EXPECT_TRUE(rows() == 1 || records() == 1) << "a kill here loses what the sink wrote";
  ASSERT_TRUE(committer_->step().ok());
  EXPECT_EQ(rows(), 0u);
  EXPECT_EQ(records(), 1u);
  outboxes.stop(0);
}

}  // namespace
}  // namespace qw::streams
