// Aim: rows leave in order, none is lost, and trouble of the receiver, the store or this process
// costs at most a repeat under the same action id. Method: a real store in a temporary folder, a
// sink that follows a script, and a clock that the test moves; one test runs the thread.
#include "streams/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

#include "base/bytes.h"
#include "store/store.h"

namespace qw::streams {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kNowUs = 1'700'000'000'000'000;

// What the receiver saw, and how it answers next (Delivered when the script is used up).
struct Receiver {
  std::vector<std::string> got;
  std::deque<Delivery> script;
  size_t batch = 1;
  Seq delivered_up_to;
  std::optional<std::string> state;
  std::string opened_with;
  std::deque<Error> open_errors;
  std::function<void()> on_deliver;
  std::map<std::string, Turn> turns;  // by action id; kNow for all others
  bool look_again = false;
};

class ScriptedSink final : public Sink {
 public:
  explicit ScriptedSink(Receiver& receiver) : receiver_(receiver) {}
  Result<Start> open(std::string_view saved) override {
    if (!receiver_.open_errors.empty()) {
      Error error = receiver_.open_errors.front();
      receiver_.open_errors.pop_front();
      return error;
    }
    receiver_.opened_with = saved;
    return Start{receiver_.delivered_up_to};
  }
  size_t batch_rows() const override { return receiver_.batch; }
  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    DeliveryReport report{0, Delivered{}};
    for (const PendingRow& row : rows) {
      if (!receiver_.script.empty()) {
        report.next = receiver_.script.front();
        receiver_.script.pop_front();
        if (!std::holds_alternative<Delivered>(report.next)) return report;
      }
      receiver_.got.push_back(row.row.action_id);
      ++report.delivered;
    }
    if (receiver_.on_deliver) receiver_.on_deliver();
    return report;
  }
  std::optional<std::string> state() const override { return receiver_.state; }
  Result<bool> look() override { return std::exchange(receiver_.look_again, false); }
  Turn turn_of(const PendingRow& row) override {
    const auto found = receiver_.turns.find(row.row.action_id);
    return found == receiver_.turns.end() ? Turn::kNow : found->second;
  }

 private:
  Receiver& receiver_;
};

// Does something between any two reads.
class InterruptedReader final : public OutboxReader {
 public:
  InterruptedReader(std::unique_ptr<OutboxReader> reader, std::function<void()> between)
      : reader_(std::move(reader)), between_(std::move(between)) {}
  Result<std::vector<PendingRow>> read(Seq from, size_t limit) override {
    auto rows = reader_->read(from, limit);
    between_();
    return rows;
  }
  Result<Seq> last() override {
    auto last = reader_->last();
    between_();
    return last;
  }
  Result<std::optional<std::string>> saved_state() override { return reader_->saved_state(); }
  Result<std::optional<std::string>> saved_tries() override { return reader_->saved_tries(); }

 private:
  const std::unique_ptr<OutboxReader> reader_;
  const std::function<void()> between_;
};

class OutboxTest : public testing::Test, public OutboxHost {
 protected:
  OutboxTest() {
    folder_ =
        (fs::path(testing::TempDir()) /
         (std::string("outbox_") + testing::UnitTest::GetInstance()->current_test_info()->name()))
            .string();
    fs::remove_all(folder_);
    options_.sink = "hook";
    open_store();
  }
  ~OutboxTest() override {
    worker_.reset();
    store_.reset();
    fs::remove_all(folder_);
  }

  void open_store() {
    store::StoreOptions options;
    options.folder = folder_;
    auto store = store::Store::open(options, store_metrics_);
    ASSERT_TRUE(store.ok()) << store.error().to_string();
    store_ = std::move(store).value();
  }
  void start_worker() {
    worker_ = std::make_unique<OutboxWorker>(options_, std::make_unique<ScriptedSink>(receiver_),
                                             read_outbox_of(*store_, "hook"), *this, clock_,
                                             metrics_, 42);
  }
  Result<void> commit(const Stage& stage,
                      const std::vector<schema::JournalRecord>& records) override {
    if (failing_commits_ > 0) {
      --failing_commits_;
      return Error{ErrorCode::kExhausted, "the disk is full", "", ""};
    }
    for (const auto& record : records) journal_.push_back(record.kind + " " + record.json);
    store::Txn txn;
    stage(txn);
    return store_->commit(txn, store::Durability::kProcess);
  }
  void put(const std::vector<std::string>& actions) {
    store::Txn txn;
    Seq seq = *store_->last_outbox_seq("hook");
    for (const std::string& action : actions) {
      seq = next(seq);
      std::string bytes;
      encode_outbox_row({action, clock_.wall_us(), "key", "{}"}, bytes);
      txn.put_outbox("hook", seq, bytes);
    }
    ASSERT_TRUE(store_->commit(txn, store::Durability::kProcess).ok());
    if (worker_) worker_->wake(seq);
  }
  // Steps until nothing happens and no retry is planned; moves the clock over the pauses.
  void run_dry(int limit = 1000) {
    for (int i = 0; i < limit; ++i) {
      if (worker_->step()) continue;
      const int64_t wait_ns = worker_->next_try_ns() - clock_.monotonic_ns();
      if (worker_->next_try_ns() == 0) return;
      pauses_ms_.push_back(std::max<int64_t>(wait_ns, 0) / 1'000'000);
      clock_.advance_us(std::max<int64_t>(wait_ns, 0) / 1000 + 1);
    }
    FAIL() << "never ran dry";
  }
  size_t rows_left() { return read_outbox_of(*store_, "hook")->read(Seq{0}, 1000)->size(); }

  std::string folder_;
  MetricRegistry store_metrics_, metrics_;
  std::unique_ptr<store::Store> store_;
  ManualClock clock_{kNowUs};
  OutboxOptions options_;
  Receiver receiver_;
  std::unique_ptr<OutboxWorker> worker_;
  std::vector<std::string> journal_;
  std::vector<int64_t> pauses_ms_;
  int failing_commits_ = 0;
};

TEST_F(OutboxTest, DeliversInOrderAndForgets) {
  put({"a", "b", "c"});
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b", "c"));
  EXPECT_EQ(rows_left(), 0u);
  EXPECT_EQ(worker_->status().waiting, 0u);
  // Numbers go on although the outbox is empty, also in the next process.
  worker_.reset();
  store_.reset();
  open_store();
  EXPECT_EQ(store_->last_outbox_seq("hook")->value(), 3u);
  start_worker();
  put({"d"});
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(worker_->status().waiting, 0u);
}

TEST_F(OutboxTest, ARowThatComesWhileItStartsIsDelivered) {
  bool put_already = false;
  const auto put_one = [&] {
    if (!std::exchange(put_already, true)) put({"a"});
  };
  worker_ = std::make_unique<OutboxWorker>(
      options_, std::make_unique<ScriptedSink>(receiver_),
      std::make_unique<InterruptedReader>(read_outbox_of(*store_, "hook"), put_one), *this, clock_,
      metrics_, 42);
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a"));
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, TriesAgainWithGrowingPausesAndKeepsTheOrder) {
  for (int i = 0; i < 12; ++i) receiver_.script.push_back(Retry{0, "503"});
  receiver_.script.push_back(Delivered{});
  receiver_.script.push_back(Retry{7'000, "429"});
  options_.max_backoff_ms = 1000;
  put({"a", "b"});
  start_worker();
  for (int i = 0; i < 5; ++i) {
    worker_->step();
    clock_.advance_us(2'000'000);
  }
  EXPECT_TRUE(worker_->status().circuit_open);
  EXPECT_EQ(worker_->status().last_trouble, "503");
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b"));
  EXPECT_FALSE(worker_->status().circuit_open);
  EXPECT_EQ(worker_->status().retried, 13u);
  for (const int64_t pause_ms : pauses_ms_) EXPECT_TRUE(pause_ms <= 1000 || pause_ms >= 6'999);
  EXPECT_GE(*std::max_element(pauses_ms_.begin(), pauses_ms_.end()), 6'999) << "Retry-After";
}

TEST(Backoff, IsFullJitterUnderACap) {
  Random random(1);
  for (const auto& [failures, most] : {std::pair{1, 100}, {2, 200}, {5, 1600}, {40, 30'000}}) {
    int64_t low = INT64_MAX, high = 0;
    for (int i = 0; i < 2000; ++i) {
      const int64_t ms = backoff_ms(failures, 100, 30'000, random);
      low = std::min(low, ms);
      high = std::max(high, ms);
    }
    EXPECT_LE(high, most);
    EXPECT_GE(high, most * 9 / 10);
    EXPECT_LE(low, most / 10);
  }
}

TEST_F(OutboxTest, RecordsRefusalsAndGoesOn) {
  receiver_.script = {Delivered{}, Refused{"422 no such case"}};
  receiver_.batch = 10;
  put({"a", "b", "c"});
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "c"));
  EXPECT_THAT(journal_, ElementsAre(testing::AllOf(HasSubstr("delivery_refused"),
                                                   HasSubstr("\"action_id\":\"b\""),
                                                   HasSubstr("422 no such case"))));
  EXPECT_EQ(worker_->status().refused, 1u);
  EXPECT_EQ(rows_left(), 0u);
}

// Rows of a partition that is another's let the others pass, keep their order, and are counted as
// waiting; what somebody else delivered goes without being sent.
TEST_F(OutboxTest, WhatIsPutAsideWaitsInItsOrder) {
  for (const char* id : {"a1", "a2", "a3"}) receiver_.turns[id] = Turn::kAside;
  receiver_.batch = 2;
  options_.max_rows = 6;
  put({"a1", "b1", "b2", "a2", "a3", "b3"});
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b1", "b2", "b3"));
  EXPECT_EQ(worker_->status().waiting, 3u);
  EXPECT_TRUE(worker_->room(3));
  EXPECT_FALSE(worker_->room(4));
  EXPECT_FALSE(worker_->settled(Seq{6}, 0)) << "rows of the partition are aside";
  EXPECT_TRUE(worker_->settled(Seq{6}, 1)) << "of another one there are none";
  EXPECT_FALSE(worker_->settled(Seq{7}, 1));
  receiver_.turns = {{"a1", Turn::kArrived}};  // asked about only once the sink says so
  run_dry();
  EXPECT_EQ(receiver_.got.size(), 3u);
  put({"b4"});
  start_worker();  // and after a start
  receiver_.turns = {{"a1", Turn::kAside}, {"a2", Turn::kAside}, {"a3", Turn::kAside}};
  run_dry();
  receiver_.turns = {{"a1", Turn::kArrived}};
  receiver_.look_again = true;
  put({"a4"});
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b1", "b2", "b3", "b4", "a2", "a3", "a4"));
  EXPECT_EQ(worker_->status().superseded, 1u);
  EXPECT_EQ(worker_->status().waiting, 0u);
  EXPECT_TRUE(worker_->settled(Seq{8}, 0));
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, ARowThatFailsLeavesWhatWasPutAsideAlone) {
  receiver_.turns = {{"a", Turn::kAside}, {"d", Turn::kArrived}};
  receiver_.script = {Delivered{}, Retry{0, "503"}, Retry{0, "503"}, Refused{"422"}};
  receiver_.batch = 10;
  put({"a", "b", "c", "d", "e"});
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b", "e"));
  receiver_.turns.clear();
  receiver_.look_again = true;
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b", "e", "a"));
  EXPECT_EQ(worker_->status().superseded, 1u);
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, ReadsTheRowsOfBothVersions) {
  const OutboxRow row{"act", 7, "key", "{}", {"judges/paid", 3, 4711}};
  std::string bytes;
  encode_outbox_row(row, bytes);
  const auto read = decode_outbox_row(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->origin.stream, "judges/paid");
  EXPECT_EQ(read->origin.partition, 3u);
  EXPECT_EQ(read->origin.position, 4711u);
  std::string body, old;
  ByteWriter writer(body);
  writer.text("act");
  writer.i64(7);
  writer.text("key");
  writer.text("{}");
  seal_record(43, 1, body, old);  // as before rows had an origin
  const auto first = decode_outbox_row(old);
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_EQ(first->action_id, "act");
  EXPECT_EQ(first->json, "{}");
  EXPECT_TRUE(first->origin.stream.empty());
  std::string newer;
  seal_record(43, 3, body, newer);
  EXPECT_EQ(decode_outbox_row(newer).error().code, ErrorCode::kUnsupported);
}

TEST_F(OutboxTest, NothingIsGivenUpUntried) {
  options_.deadline_ms = 60'000;
  put({"a", "b"});
  clock_.advance_us(7'200'000'000);  // the program was away for two hours
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b"));
  EXPECT_TRUE(journal_.empty());
}

TEST_F(OutboxTest, AClockThatIsSetDropsNothing) {
  options_.deadline_ms = 60'000;
  for (const int64_t wall_us : {kNowUs + 31'536'000'000'000, kNowUs - 31'536'000'000'000}) {
    for (int i = 0; i < 4; ++i) receiver_.script.push_back(Retry{0, "503"});
    put({"a", "b"});
    start_worker();
    worker_->step();
    clock_.set_wall_us(wall_us);
    run_dry();
  }
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b", "a", "b"));
  EXPECT_TRUE(journal_.empty());
}

TEST_F(OutboxTest, GivesUpARowThatFailedForSoLong) {
  options_.deadline_ms = 60'000;
  options_.max_backoff_ms = 7'000;
  put({"a", "b"});
  start_worker();
  const int64_t began_ns = clock_.monotonic_ns();
  const auto fails = [&] { receiver_.script.assign(1000, Retry{0, "503 at maintenance"}); };
  fails();
  while (journal_.empty()) {
    ASSERT_LT(clock_.monotonic_ns() - began_ns, 61'000'000'000) << "its deadline is long over";
    worker_->step();
    clock_.advance_us(100'000);
  }
  EXPECT_GE(clock_.monotonic_ns() - began_ns, 60'000'000'000);
  EXPECT_THAT(journal_, ElementsAre(testing::AllOf(HasSubstr("delivery_expired"),
                                                   HasSubstr("\"action_id\":\"a\""),
                                                   HasSubstr("503 at maintenance"))));
  // The one behind it waited as long and failed at nothing.
  clock_.advance_us(30'000'000);
  receiver_.script.assign(3, Retry{0, "503"});
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b"));
  EXPECT_EQ(journal_.size(), 1u);
  EXPECT_EQ(worker_->status().expired, 1u);
}

TEST_F(OutboxTest, AnAskedDelayEndsAtTheDeadline) {
  options_.deadline_ms = 60'000;
  receiver_.script = {Retry{3'000'000, "429"}};
  put({"a"});
  start_worker();
  run_dry();
  EXPECT_TRUE(receiver_.got.empty()) << "the receiver asked not to be tried before";
  EXPECT_THAT(journal_, ElementsAre(HasSubstr("delivery_expired")));
  EXPECT_LT(clock_.monotonic_ns(), 61'000'000'000);
}

TEST_F(OutboxTest, PatienceGoesOnWhereAStartTakesItUp) {
  options_.deadline_ms = 60'000;
  options_.max_backoff_ms = 1'000;
  put({"a"});
  receiver_.script.assign(10'000, Retry{0, "503"});
  for (int start = 0; start < 3; ++start) {  // 25 s of running time each, and hours between them
    start_worker();
    clock_.advance_us(7'200'000'000);
    for (int i = 0; i < 250; ++i) {
      worker_->step();
      clock_.advance_us(100'000);
    }
    EXPECT_EQ(journal_.size(), start < 2 ? 0u : 1u) << "start " << start;
  }
  EXPECT_THAT(journal_, ElementsAre(HasSubstr("delivery_expired")));
}

TEST_F(OutboxTest, AttemptsAreCountedOnAfterAStart) {
  options_.attempts_max = 3;
  put({"a", "b"});
  receiver_.script.assign(3, Retry{0, "503"});
  for (int start = 0; start < 3; ++start) {
    start_worker();
    EXPECT_TRUE(journal_.empty());
    worker_->step();
    clock_.advance_us(2'000'000);
  }
  EXPECT_THAT(journal_,
              ElementsAre(testing::AllOf(HasSubstr("delivery_failed"), HasSubstr("3 attempts"))));
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("b"));
}

TEST_F(OutboxTest, AStartTriesOnceMoreBeforeItGivesUp) {
  options_.deadline_ms = 60'000;
  put({"a"});
  receiver_.script.assign(10'000, Retry{0, "503"});
  start_worker();
  for (int i = 0; i < 599; ++i) {
    worker_->step();
    clock_.advance_us(100'000);
  }
  options_.deadline_ms = 30'000;  // the file was edited while the program was down
  start_worker();
  receiver_.script.clear();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a"));
  EXPECT_TRUE(journal_.empty());
}

TEST_F(OutboxTest, GivesUpAfterSoManyAttemptsAndTurnsToTheNext) {
  options_.attempts_max = 3;
  const Retry refused{0, "503 not this one"};
  receiver_.script = {refused, refused, Delivered{}, refused, refused, refused, Delivered{}};
  put({"a", "b", "c"});
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "c")) << "two attempts of a do not count for b";
  EXPECT_THAT(journal_, ElementsAre(testing::AllOf(HasSubstr("delivery_failed"),
                                                   HasSubstr("\"action_id\":\"b\""),
                                                   HasSubstr("3 attempts"))));
  EXPECT_EQ(worker_->status().failed, 1u);
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, AFullDiskRepeatsNothing) {
  put({"a", "b"});
  failing_commits_ = 3;
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b"));
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, ACrashBeforeTheEraseDeliversAgainUnderTheSameId) {
  put({"a", "b"});
  failing_commits_ = 1'000'000;
  start_worker();
  worker_->step();
  EXPECT_THAT(receiver_.got, ElementsAre("a"));
  failing_commits_ = 0;
  start_worker();  // the next process
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "a", "b"));
}

TEST_F(OutboxTest, SkipsWhatTheSinkKnowsAsDelivered) {
  put({"a", "b", "c"});
  receiver_.delivered_up_to = Seq{2};
  start_worker();
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("c"));
  EXPECT_EQ(rows_left(), 0u);
}

TEST_F(OutboxTest, SavesTheSinksMemoryWithTheErase) {
  receiver_.state = "firing: a";
  put({"a"});
  start_worker();
  EXPECT_EQ(receiver_.opened_with, "");
  run_dry();
  start_worker();
  worker_->step();
  EXPECT_EQ(receiver_.opened_with, "firing: a");
}

TEST_F(OutboxTest, WaitsForASinkThatCannotOpenYet) {
  receiver_.open_errors = {{ErrorCode::kUnavailable, "no broker", "", ""},
                           {ErrorCode::kUnavailable, "no broker", "", ""}};
  put({"a"});
  start_worker();
  EXPECT_FALSE(worker_->step());
  EXPECT_THAT(worker_->status().last_trouble, HasSubstr("no broker"));
  run_dry();
  EXPECT_THAT(receiver_.got, ElementsAre("a"));
}

TEST_F(OutboxTest, KnowsWhenItIsFull) {
  options_.max_rows = 3;
  put({"a", "b"});
  start_worker();
  run_dry();
  start_worker();
  receiver_.script = {Retry{0, "away"}};
  put({"c", "d"});
  worker_->step();
  EXPECT_TRUE(worker_->room(1));
  EXPECT_FALSE(worker_->room(2));
  worker_->count_dropped(2);
  EXPECT_EQ(worker_->status().dropped, 2u);
}

TEST_F(OutboxTest, TheThreadDeliversWhatItIsWokenFor) {
  options_.deadline_ms = 0;  // the rows are dated by the clock that stands still
  put({"a"});
  std::promise<void> done;
  receiver_.on_deliver = [&] {
    if (receiver_.got.size() == 3) done.set_value();
  };
  worker_ = std::make_unique<OutboxWorker>(options_, std::make_unique<ScriptedSink>(receiver_),
                                           read_outbox_of(*store_, "hook"), *this, real_clock(),
                                           metrics_, 42);
  ASSERT_TRUE(worker_->start().ok());
  put({"b"});
  put({"c"});
  ASSERT_EQ(done.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  worker_->stop();
  EXPECT_THAT(receiver_.got, ElementsAre("a", "b", "c"));
  EXPECT_EQ(rows_left(), 0u);
}

TEST(OutboxRow, SurvivesItsBytesAndRefusesDamage) {
  std::string bytes;
  encode_outbox_row({"id", 5, "k", "{\"a\":1}"}, bytes);
  const auto row = decode_outbox_row(bytes);
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->json, "{\"a\":1}");
  EXPECT_EQ(row->created_at_us, 5);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  EXPECT_FALSE(decode_outbox_row(bytes).ok());
}

}  // namespace
}  // namespace qw::streams
