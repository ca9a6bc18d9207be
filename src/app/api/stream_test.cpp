// Aim: who listens hears everything once and in order, also across a broken connection, or is told
// to begin anew.
// Method: a listener made of a string; ids and data are taken apart and counted.
#include "app/api/stream.h"

#include <gtest/gtest.h>

#include <sstream>

namespace qw::app {
namespace {

struct Line {
  bool open = true;
  std::string text;
};

class FakeStream final : public net::HttpStream {
 public:
  explicit FakeStream(std::shared_ptr<Line> line) : line_(std::move(line)) {}
  bool send(std::string_view piece) override {
    if (line_->open) line_->text += piece;
    return line_->open;
  }
  bool open() const override { return line_->open; }

 private:
  std::shared_ptr<Line> line_;
};

class FakeReply final : public net::HttpReply {
 public:
  explicit FakeReply(std::shared_ptr<Line> line) : line_(std::move(line)) {}
  void send(net::HttpResponse) override {}
  std::shared_ptr<net::HttpStream> start_stream(int, std::string, net::Headers) override {
    return std::make_shared<FakeStream>(line_);
  }

 private:
  std::shared_ptr<Line> line_;
};

struct Event {
  std::string name, id, data;
};

std::vector<Event> events_of(const std::string& text) {
  std::vector<Event> events;
  std::istringstream lines(text);
  Event event;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("event: ")) event.name = line.substr(7);
    if (line.starts_with("id: ")) event.id = line.substr(4);
    if (line.starts_with("data: ")) event.data = line.substr(6);
    if (!line.empty() || event.name.empty()) continue;
    events.push_back(event);
    event = {};
  }
  return events;
}

constexpr int64_t kStarted = 1'000'000;

class StreamTest : public ::testing::Test {
 protected:
  std::shared_ptr<Line> listen(const std::optional<std::string>& last_id = std::nullopt) {
    auto line = std::make_shared<Line>();
    FakeReply reply(line);
    opened_ = hub_.open(reply, last_id, {{"hello", true}});
    return line;
  }
  void tell(int from, int to) {
    for (int n = from; n <= to; ++n) hub_.tell("timeline", n);
  }
  // The numbers told, as the listener heard them.
  static std::vector<int> heard(const std::string& text) {
    std::vector<int> numbers;
    for (const Event& event : events_of(text))
      if (event.name == "timeline") numbers.push_back(std::stoi(event.data));
    return numbers;
  }
  static bool was_reset(const std::shared_ptr<Line>& line) {
    for (const Event& event : events_of(line->text))
      if (event.name == "reset") return true;
    return false;
  }

  StreamHub hub_{kStarted, {.streams = 3, .kept = 10}};
  bool opened_ = false;
};

TEST_F(StreamTest, BeginsWithHelloAndHearsAllAfterwards) {
  tell(1, 3);
  const auto line = listen();
  tell(4, 5);
  hub_.beat("tick", 9);
  const auto events = events_of(line->text);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].name, "hello");
  EXPECT_EQ(events[3].name, "tick");
  EXPECT_EQ(events[3].id, "");
  EXPECT_EQ(heard(line->text), (std::vector<int>{4, 5}));
}

// Wherever a connection breaks, also inside what is sent again, nothing is missed or heard twice.
TEST_F(StreamTest, ResumesWithoutAGapFromEveryPlace) {
  for (size_t cut = 1; cut <= 4; ++cut) {
    StreamHub hub{kStarted, {.streams = 3, .kept = 10}};
    auto line = std::make_shared<Line>();
    FakeReply reply(line);
    ASSERT_TRUE(hub.open(reply, std::nullopt, Json::object()));
    for (int n = 1; n <= 5; ++n) hub.tell("timeline", n);
    std::vector<int> all;
    std::string last;
    const auto take = [&](const std::string& text, size_t most) {
      for (const Event& event : events_of(text)) {
        if (most-- == 0) return;
        EXPECT_NE(event.name, "reset");
        if (!event.id.empty()) last = event.id;
        if (event.name == "timeline") all.push_back(std::stoi(event.data));
      }
    };
    take(line->text, cut);  // hello and cut - 1 events came; then it broke
    for (int again = 0; again < 3; ++again) {
      auto next = std::make_shared<Line>();
      FakeReply next_reply(next);
      ASSERT_TRUE(hub.open(next_reply, last, Json::object()));
      take(next->text, again == 0 ? 2 : 100);
      next->open = line->open = false;
    }
    EXPECT_EQ(all, (std::vector<int>{1, 2, 3, 4, 5})) << "broken after " << cut;
  }
}

TEST_F(StreamTest, ResetsWhoeverMissedTooMuchOrComesFromAnotherStart) {
  tell(1, 20);  // ten are kept: 11 to 20
  const auto id = [](int n) { return std::to_string(kStarted + n); };
  EXPECT_TRUE(was_reset(listen(id(9))));
  const auto edge = listen(id(10));
  EXPECT_FALSE(was_reset(edge));
  EXPECT_EQ(heard(edge->text).size(), 10u);
  EXPECT_TRUE(was_reset(listen(id(21))));
  hub_.close_all();
  EXPECT_TRUE(was_reset(listen("999999")));
  EXPECT_TRUE(was_reset(listen("nonsense")));
  EXPECT_TRUE(was_reset(listen("")));
}

TEST_F(StreamTest, NothingMissedIsNoReset) {
  const auto line = listen(std::to_string(kStarted));
  EXPECT_FALSE(was_reset(line));
}

TEST_F(StreamTest, RefusesMoreThanItsLimitUntilOneIsClosed) {
  const auto first = listen();
  listen();
  listen();
  EXPECT_TRUE(opened_);
  listen();
  EXPECT_FALSE(opened_);
  first->open = false;
  listen();
  EXPECT_TRUE(opened_);
}

}  // namespace
}  // namespace qw::app
