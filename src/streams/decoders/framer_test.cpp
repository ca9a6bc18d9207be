// Aim: every byte belongs to exactly one record however it arrives, and no record costs another.
// Method: the same stream fed in pieces of every size must give the records worked out by hand.
#include "streams/decoders/framer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qw::streams {
namespace {

struct Seen {
  std::string text;
  Frame::Problem problem;
  uint64_t begin, end;
  friend bool operator==(const Seen&, const Seen&) = default;
};
void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "[" << seen.begin << "," << seen.end << ") problem " << int(seen.problem) << " '"
       << seen.text.substr(0, 40) << "'";
}

std::vector<Seen> frames_of(Framing framing, std::string_view bytes, size_t limit, size_t piece,
                            size_t* most_held = nullptr) {
  Framer framer(framing, limit);
  std::vector<Seen> seen;
  const auto take = [&](const Frame& frame) {
    seen.push_back({std::string(frame.text), frame.problem, frame.begin, frame.end});
  };
  for (size_t at = 0; at < bytes.size(); at += piece) {
    framer.feed(bytes.substr(at, piece));
    if (most_held != nullptr) *most_held = std::max(*most_held, framer.held_bytes());
    while (auto frame = framer.next()) take(*frame);
  }
  while (auto frame = framer.finish()) take(*frame);
  return seen;
}

constexpr auto kNone = Frame::Problem::kNone;

TEST(Framer, CutsLinesWhateverThePieces) {
  const std::string text =
      "\xEF\xBB\xBF"
      "one\r\n\n\r\ntwo \"x\nthree";
  const std::vector<Seen> wanted = {
      {"one", kNone, 3, 8}, {"two \"x", kNone, 11, 18}, {"three", kNone, 18, 23}};
  for (size_t piece = 3; piece <= text.size(); ++piece)
    EXPECT_EQ(frames_of(Framing::kLines, text, 100, piece), wanted) << piece;
}

TEST(Framer, KeepsQuotedLineEndsInsideCsvRecords) {
  const std::string text = "a,\"x\ny\",\"q\"\"\n\"\nb,5\" disk,c\n";
  const std::vector<Seen> wanted = {{"a,\"x\ny\",\"q\"\"\n\"", kNone, 0, 15},
                                    {"b,5\" disk,c", kNone, 15, 27}};
  for (size_t piece = 1; piece <= text.size(); ++piece)
    EXPECT_EQ(frames_of(Framing::kCsv, text, 100, piece), wanted) << piece;
}

TEST(Framer, NeverHoldsAnOverlongRecord) {
  const std::string text = "ok\n" + std::string(10'000'000, 'x') + "\nfine\n";
  size_t most_held = 0;
  const auto seen = frames_of(Framing::kLines, text, 1000, 4096, &most_held);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].text, "ok");
  EXPECT_EQ(seen[1].problem, Frame::Problem::kTooLong);
  EXPECT_EQ(seen[1].begin, 3u);
  EXPECT_EQ(seen[1].text.size(), 1000u);
  EXPECT_EQ(seen[2], (Seen{"fine", kNone, 10'000'004, 10'000'009}));
  EXPECT_LE(most_held, 1000u + 4096u);
}

TEST(Framer, RefusesARecordOneByteOverTheLimit) {
  for (const size_t piece : {1u, 3u, 50u}) {
    const auto seen = frames_of(Framing::kLines, "12345\n123456\n1\n", 5, piece);
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].text, "12345");
    EXPECT_EQ(seen[1].problem, Frame::Problem::kTooLong);
    EXPECT_EQ(seen[2].text, "1");
  }
}

TEST(Framer, AnUnclosedQuoteCostsItsOwnLineOnly) {
  std::string text = "a,1\nb,\"oops\n";
  for (int i = 0; i < 50; ++i) text += "row," + std::to_string(i) + "\n";
  for (const size_t limit : {60u, 10'000u}) {
    for (const size_t piece : {1u, 7u, 5000u}) {
      const auto seen = frames_of(Framing::kCsv, text, limit, piece);
      ASSERT_EQ(seen.size(), 52u) << limit << " " << piece;
      EXPECT_EQ(seen[1].problem, Frame::Problem::kUnclosedQuote);
      EXPECT_EQ(seen[1].text, "b,\"oops");
      EXPECT_EQ(seen[51].text, "row,49");
    }
  }
}

TEST(Framer, StartsAtAnOffset) {
  Framer framer(Framing::kLines, 100, ',', 1000);
  framer.feed("x\ny");
  const auto frame = framer.next();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->end, 1002u);
  EXPECT_FALSE(framer.next());
  EXPECT_EQ(framer.offset(), 1002u);
}

}  // namespace
}  // namespace qw::streams
