// Aim: whatever is kept beside the rows to answer faster, the answer is that of a look at every
// event. Method: random streams of one key (in order, late, tied, with nulls, with pauses, refused,
// stored and read back), read at their newest event, earlier, and as known earlier, against a naive
// scan of all events that were taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/env.h"
#include "features/cell_text.h"
#include "features/stream/key_state.h"

namespace qw::features {
namespace {

constexpr int64_t kSecond = 1'000'000;

struct Event {
  int64_t time = 0;
  uint64_t seq = 0;
  std::optional<double> x;
  std::optional<int64_t> i;
  std::optional<std::string> s;
};

ViewDefinition definition() {
  return {"v",
          "src",
          {"k"},
          {"1s", "7s", "30s", "20s/3s", "2m"},
          {{"n", "count()"},
           {"nx", "count(x)"},
           {"sum", "sum(x)"},
           {"isum", "sum(i)"},
           {"imean", "mean(i)"},
           {"lo", "min(x)"},
           {"ilo", "min(i)"},
           {"hi", "max(i)"},
           {"slo", "min(s)"},
           {"shi", "max(s)"},
           {"who", "count_distinct(s)"},
           {"xwho", "count_distinct(x)"},
           {"old", "first(i)"},
           {"new", "last(s) max_age 5s"},
           {"recent", "last_k(i, 12)"},
           {"median", "quantile(x, 0.5)"},
           {"high", "quantile(i, 0.93)"},
           {"var", "variance(i)"}}};
}

std::shared_ptr<const schema::Schema> source() {
  return std::make_shared<const schema::Schema>(std::vector<schema::Field>{{"k", schema::kString},
                                                                           {"x", schema::kDouble},
                                                                           {"i", schema::kInt64},
                                                                           {"s", schema::kString}});
}

template <class T>
std::vector<T> values_of(const std::vector<const Event*>& events,
                         const std::optional<T> Event::*member) {
  std::vector<T> values;
  for (const Event* event : events)
    if (event->*member) values.push_back(*(event->*member));
  return values;
}

template <class T>
double middle(std::vector<T> values, double q) {
  std::ranges::sort(values);
  const double h = static_cast<double>(values.size() - 1) * q;
  const auto low = static_cast<size_t>(h);
  const auto a = static_cast<double>(values[low]);
  const auto b = static_cast<double>(values[std::min(low + 1, values.size() - 1)]);
  return a + (b - a) * (h - static_cast<double>(low));
}

// What a look at every event says; `inside` are those of the window, in order.
class Naive {
 public:
  Naive(std::vector<const Event*> inside, int64_t t)
      : inside_(std::move(inside)),
        t_(t),
        x_(values_of<double>(inside_, &Event::x)),
        i_(values_of<int64_t>(inside_, &Event::i)),
        s_(values_of<std::string>(inside_, &Event::s)) {}

  Cell answer(const std::string& name, int64_t nth) const {
    if (name == "n") return Cell::of_int(static_cast<int64_t>(inside_.size()));
    if (name == "nx") return Cell::of_int(static_cast<int64_t>(x_.size()));
    if (name == "who") return Cell::of_int(different(s_));
    if (name == "xwho") return Cell::of_int(different(x_));
    if (name == "new") return newest_text();
    if (name.starts_with('s') && name != "sum")
      return s_.empty() ? Cell{} : Cell::of_text(name == "slo" ? least(s_) : most(s_));
    return name == "sum" || name == "lo" || name == "median" ? of_doubles(name)
                                                             : of_ints(name, nth);
  }

 private:
  template <class T>
  static int64_t different(const std::vector<T>& values) {
    return static_cast<int64_t>(std::set<T>(values.begin(), values.end()).size());
  }
  template <class T>
  static const T& least(const std::vector<T>& values) {
    return *std::ranges::min_element(values);
  }
  template <class T>
  static const T& most(const std::vector<T>& values) {
    return *std::ranges::max_element(values);
  }

  Cell newest_text() const {
    for (auto event = inside_.rbegin(); event != inside_.rend(); ++event)
      if ((*event)->s)
        return t_ - (*event)->time >= 5 * kSecond ? Cell{} : Cell::of_text(*(*event)->s);
    return {};
  }
  Cell of_doubles(const std::string& name) const {
    if (x_.empty()) return {};
    if (name == "lo") return Cell::of_double(least(x_));
    if (name == "median") return Cell::of_double(middle(x_, 0.5));
    __int128 quarters = 0;  // they are multiples of 0.25, so that this is exact
    for (const double x : x_) quarters += static_cast<__int128>(x * 4);
    return Cell::of_double(static_cast<double>(quarters) / 4);
  }
  Cell of_ints(const std::string& name, int64_t nth) const {
    if (name == "recent")
      return static_cast<size_t>(nth) > i_.size() ? Cell{}
                                                  : Cell::of_int(i_[i_.size() - size_t(nth)]);
    if (i_.empty()) return {};
    if (name == "old") return Cell::of_int(i_.front());
    if (name == "ilo") return Cell::of_int(least(i_));
    if (name == "hi") return Cell::of_int(most(i_));
    if (name == "high") return Cell::of_double(middle(i_, 0.93));
    __int128 sum = 0;
    for (const int64_t i : i_) sum += i;
    if (name == "isum") return Cell::of_int(static_cast<int64_t>(sum));
    const double count = static_cast<double>(i_.size());
    if (name == "imean") return Cell::of_double(static_cast<double>(sum) / count);
    EXPECT_EQ(name, "var");
    if (i_.size() < 2) return {};
    const long double mean = static_cast<long double>(sum) / static_cast<long double>(i_.size());
    long double m2 = 0;
    for (const int64_t i : i_)
      m2 += (static_cast<long double>(i) - mean) * (static_cast<long double>(i) - mean);
    return Cell::of_double(static_cast<double>(m2) / (count - 1));
  }

  std::vector<const Event*> inside_;
  int64_t t_;
  std::vector<double> x_;
  std::vector<int64_t> i_;
  std::vector<std::string> s_;
};

// One stream: how it is made differs by seed.
class Stream {
 public:
  explicit Stream(uint64_t seed) : random_(seed), seed_(seed) {
    ViewDefinition wanted = definition();
    if (seed % 5 == 0) wanted.max_rows = 200;
    wanted.exclude_current = seed % 3 == 0;
    view_ = View::compile(wanted, source(), kLateness).value();
    worker_.emplace(view_);
    state_.emplace(*view_);
    null_share_ = seed % 4 == 1 ? 30 : seed % 4 == 2 ? 97 : 3;  // of a hundred
    late_share_ = seed % 2 == 0 ? 10 : 0;
  }

  void run(size_t events) {
    for (size_t e = 0; e < events; ++e) {
      take_one();
      if (random_.below(300) == 0) store_and_read_back();
      if (random_.below(4) != 0) continue;
      const Event& last = events_.empty() ? Event{} : events_.back();
      read(last.time, seq_, seq_);
      if (random_.below(4) == 0) read(now_, ReadPoint::kEverySeq, ReadPoint::kEverySeq);
      if (random_.below(8) == 0)
        read(now_ - static_cast<int64_t>(random_.below(20)) * kSecond / 2, ReadPoint::kEverySeq,
             ReadPoint::kEverySeq);
      if (random_.below(8) == 0) read(now_, ReadPoint::kEverySeq, seq_ - random_.below(50) % seq_);
      if (::testing::Test::HasFailure()) return;
    }
  }
  size_t compared() const { return compared_; }
  size_t most_rows() const { return most_rows_; }

 private:
  static constexpr int64_t kLateness = 10 * kSecond;

  void take_one() {
    // Bursts of some ten events a second with ties, then a pause now and then.
    if (random_.below(3) != 0) now_ += static_cast<int64_t>(random_.below(5)) * kSecond / 20;
    if (random_.below(700) == 0) now_ += static_cast<int64_t>(random_.below(400)) * kSecond;
    Event event;
    event.seq = ++seq_;
    event.time = now_;
    if (random_.below(100) < late_share_)
      event.time -= static_cast<int64_t>(random_.below(20)) * kSecond / 2;
    const auto there = [this] { return random_.below(100) >= null_share_; };
    if (there()) event.x = some_double();
    if (there()) event.i = static_cast<int64_t>(random_.below(2'000)) - 1'000;
    if (there()) event.s = std::to_string(random_.below(random_.below(2) == 0 ? 4 : 300));
    schema::Batch rows(source());
    rows.append_row({std::string("key"), event.x ? schema::Value(*event.x) : schema::Value{},
                     event.i ? schema::Value(*event.i) : schema::Value{},
                     event.s ? schema::Value(*event.s) : schema::Value{}});
    const Applied applied = state_->apply(*worker_, rows, 0,
                                          {PartitionId{0}, Seq{event.seq}, EventTime{event.time},
                                           KnownAt{event.time}, schema::EventStatus::kOk});
    if (applied == Applied::kInserted) events_.push_back(std::move(event));
    most_rows_ = std::max(most_rows_, state_->rows());
    if (events_.size() > 4'000)  // no window reaches so far back
      std::erase_if(events_, [this](const Event& e) { return e.time < now_ - 300 * kSecond; });
  }
  // Beside 1e16, which comes and is taken away again, quarters are lost to a plain sum.
  double some_double() {
    if (random_.below(50) == 0) return random_.below(2) == 0 ? 1e16 : -1e16;
    return static_cast<double>(random_.below(400)) / 4 - 50;
  }
  void store_and_read_back() {
    std::string bytes;
    state_->serialize(*view_, bytes);
    state_.emplace(KeyState::parse(*view_, bytes).value());
  }

  void read(int64_t t, uint64_t seq, uint64_t known) {
    FeatureRow row;
    state_->read(*worker_, {EventTime{t}, Seq{seq}, Seq{known}}, row);
    const bool leave_out = seq != ReadPoint::kEverySeq && view_->definition().exclude_current;
    std::vector<const Event*> seen;
    for (const Event& event : events_)
      if (event.seq <= known && (event.time < t || (event.time == t && event.seq <= seq)) &&
          !(leave_out && event.time == t && event.seq == seq))
        seen.push_back(&event);
    std::ranges::sort(seen, {}, [](const Event* e) { return std::pair(e->time, e->seq); });
    for (size_t w = 0; w < view_->windows().size(); ++w) {
      const int64_t first = view_->windows()[w].first_inside(t);
      std::vector<const Event*> inside;
      for (const Event* event : seen)
        if (event->time >= first) inside.push_back(event);
      compare(row, w, Naive(std::move(inside), t));
    }
  }
  void compare(const FeatureRow& row, size_t window, const Naive& naive) {
    for (size_t f = 0; f < view_->features().size(); ++f) {
      const Feature& feature = view_->features()[f];
      if (feature.window != window || row.statuses[f] == FeatureStatus::kHotKey ||
          row.statuses[f] == FeatureStatus::kIncomplete)
        continue;
      const std::string& name = view_->aggregates()[feature.aggregate].name;
      const Cell wanted = naive.answer(name, feature.nth);
      ++compared_;
      if (name == "var" && !wanted.null && !row.cells[f].null) {
        ASSERT_NEAR(row.cells[f].d, wanted.d, 1e-12 * wanted.d) << "seed " << seed_;
        continue;
      }
      ASSERT_EQ(text_of(row.cells[f], feature.type), text_of(wanted, feature.type))
          << feature.name << " seed " << seed_ << " seq " << seq_;
    }
  }

  Random random_;
  uint64_t seed_;
  ViewPtr view_;
  std::optional<ViewWorker> worker_;
  std::optional<KeyState> state_;
  std::vector<Event> events_;
  int64_t now_ = 1'700'000'000 * kSecond;
  uint64_t seq_ = 0;
  uint64_t null_share_ = 0;
  uint64_t late_share_ = 0;
  size_t compared_ = 0;
  size_t most_rows_ = 0;
};

TEST(Incremental, AnswersAreThoseOfALookAtEveryEvent) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Stream stream(seed);
    stream.run(3'000);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    EXPECT_GT(stream.compared(), 20'000u);
    EXPECT_GT(stream.most_rows(), seed % 5 == 0 ? 190u : 500u);
  }
}

struct Doubles {
  explicit Doubles(std::vector<AggregateDefinition> aggregates)
      : view(View::compile({"v", "src", {"k"}, {"100s"}, std::move(aggregates)}, source(), 0)
                 .value()),
        worker(view),
        state(*view) {}
  std::vector<Cell> put(int64_t time, double x) {
    schema::Batch rows(source());
    rows.append_row({std::string("key"), x, {}, {}});
    ++seq;
    state.apply(
        worker, rows, 0,
        {PartitionId{0}, Seq{seq}, EventTime{time}, KnownAt{time}, schema::EventStatus::kOk});
    FeatureRow row;
    state.read(worker, {EventTime{time}, Seq{seq}}, row);
    return row.cells;
  }
  ViewPtr view;
  ViewWorker worker;
  KeyState state;
  uint64_t seq = 0;
};

// What is far larger comes, stays for a window's length, and leaves nothing behind.
TEST(Incremental, LargeValuesLeaveNothingBehind) {
  for (const double large : {1e16, 1e250, 1.7e308}) {
    Doubles bed(std::vector<AggregateDefinition>{
        {"sum", "sum(x)"}, {"avg", "mean(x)"}, {"var", "variance(x)"}});
    std::vector<Cell> cells;
    for (int64_t i = 0; i < 1'000; ++i) {
      const bool out = i % 250 == 100;
      cells = bed.put(i * kSecond / 2, out ? large : 0.25);
      if (i % 250 < 100 && i >= 250 + 60) {
        const bool gone = i % 250 >= 50;  // 200 rows a window, the large one at 100
        if (!gone) continue;
        ASSERT_EQ(cells[0].d, 50.0) << large << " at " << i;
        ASSERT_EQ(cells[1].d, 0.25);
        ASSERT_EQ(cells[2].d, 0.0);
      }
    }
  }
}

TEST(Incremental, SumsOnTheWayMayBeBeyondADouble) {
  Doubles bed(
      std::vector<AggregateDefinition>{{"sum", "sum(x)"}, {"avg", "mean(x)"}, {"sd", "stddev(x)"}});
  std::vector<Cell> cells;
  for (int64_t i = 0; i < 400; ++i) cells = bed.put(i * kSecond / 4, i % 2 == 0 ? 1.7e308 : 1e308);
  EXPECT_TRUE(cells[0].null);
  EXPECT_DOUBLE_EQ(cells[1].d, 1.35e308);
  EXPECT_NEAR(cells[2].d / 3.5e307, 1.0, 0.01);
  for (int64_t i = 400; i < 800; ++i)
    cells = bed.put(i * kSecond / 4, i % 2 == 0 ? 1.7e308 : -1.7e308);
  EXPECT_EQ(cells[0].d, 0.0);
  EXPECT_EQ(cells[1].d, 0.0);
}

// Equal values have no spread at all, wherever they lie; small ones beside a large mean keep
// theirs.
TEST(Incremental, SpreadIsExactWhereItCounts) {
  for (const double at : {0.1, 1e9 + 0.1, 1e-130, 3e200, 0.0}) {
    Doubles bed(std::vector<AggregateDefinition>{{"sd", "stddev(x)"}});
    std::vector<Cell> cells;
    for (int64_t i = 0; i < 300; ++i) cells = bed.put(i * kSecond / 3, at);
    EXPECT_EQ(cells[0].d, 0.0) << at;
  }
  Doubles bed(std::vector<AggregateDefinition>{{"var", "variance(x)"}});
  std::vector<Cell> cells;
  for (int64_t i = 0; i < 300; ++i)
    cells = bed.put(i * kSecond / 3, 1e9 + (i % 2 == 0 ? 0.25 : -0.25));
  EXPECT_DOUBLE_EQ(cells[0].d, 0.0625 * 300 / 299);
}

// What events took is given back when they are gone, and the stored bytes shrink with it.
TEST(Incremental, MemoryIsGivenBack) {
  const ViewPtr view = View::compile(definition(), source(), 0).value();
  ViewWorker worker(view);
  KeyState state(*view);
  uint64_t seq = 0;
  const auto put = [&](int64_t time) {
    schema::Batch rows(source());
    ++seq;
    rows.append_row({std::string("key"), 0.5, int64_t(seq), std::to_string(seq)});
    state.apply(
        worker, rows, 0,
        {PartitionId{0}, Seq{seq}, EventTime{time}, KnownAt{time}, schema::EventStatus::kOk});
    FeatureRow row;
    state.read(worker, {EventTime{time}, Seq{seq}}, row);
  };
  for (int64_t i = 0; i < 20; ++i) put(i * kSecond);
  const size_t before = state.bytes();
  for (int64_t i = 0; i < 20'000; ++i) put(1'000 * kSecond + i * 1'000);
  EXPECT_GT(state.bytes(), 20'000u * 48);
  // The ring, the texts, and what is kept beside: for three arguments about twice the ring.
  EXPECT_LT(state.bytes(), 20'000u * (2 * 48 + 100 + 4 * 48));
  for (int64_t i = 0; i < 30; ++i) put(10'000 * kSecond + i * 10 * kSecond);
  EXPECT_LT(state.bytes(), 2 * before);
  std::string bytes;
  state.serialize(*view, bytes);
  EXPECT_LT(bytes.size(), 4'000u);
}

}  // namespace
}  // namespace qw::features
