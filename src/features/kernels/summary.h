// What is kept of blocks of rows, so that a window is put together from a few blocks and the rows
// at its edges.
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "features/cell.h"
#include "features/expression/kernels.h"
#include "schema/type.h"

namespace qw::features {

// What the 64-bit words of one argument mean. A value; the texts outlive it.
struct Reading {
  using Texts = std::vector<std::unique_ptr<std::string>>;
  schema::Type type;
  const Texts* texts = nullptr;  // by the number that stands for one

  std::string_view text(int64_t word) const { return *(*texts)[static_cast<size_t>(word)]; }
  // Of an argument that is a number.
  double number(int64_t word) const {
    return type.kind == schema::Kind::kDouble ? std::bit_cast<double>(word)
                                              : decimal_to_double(word, kPowerOfTen[type.scale]);
  }
  Cell cell(int64_t word) const {
    if (type.kind == schema::Kind::kString) return Cell::of_text(text(word));
    if (type.kind == schema::Kind::kDouble) return Cell::of_double(std::bit_cast<double>(word));
    return Cell::of_int(word);
  }
};

// All windows of a read end at the same row, so each holds the one that begins next after it, and
// some more. These are the pieces by which they grow, from the latest beginning to the earliest:
// words of single rows, nulls left out, and numbers of blocks. Views of the reader's memory.
struct Pieces {
  struct Step {
    uint32_t window = 0;
    uint32_t words_end = 0;   // those since the step before
    uint32_t blocks_end = 0;  // the same
  };
  std::span<const Step> steps;
  std::span<const int64_t> words;
  std::span<const uint32_t> blocks;
};

// Summaries of one kind, by number of block or of window. Owned by a state or by a reader.
class Summaries {
 public:
  virtual ~Summaries() = default;
  virtual size_t bytes() const = 0;
};

// How an aggregate sums values up. Constant, any thread.
class SummaryKind {
 public:
  virtual ~SummaryKind() = default;
  virtual std::unique_ptr<Summaries> make(size_t count) const = 0;
  virtual void of_words(Summaries& all, size_t at, std::span<const int64_t> words,
                        const Reading& reading) const = 0;
  virtual void of_pair(Summaries& all, size_t at, size_t first, size_t second,
                       const Reading& reading) const = 0;
  // `blocks` may be null where the pieces have none.
  virtual void of_windows(const Summaries* blocks, const Pieces& pieces, const Reading& reading,
                          Summaries& windows) const = 0;
};

// Summaries of one type. Owned as any Summaries.
template <class S>
struct SummariesOf final : Summaries {
  explicit SummariesOf(size_t count) : all(count) {}
  size_t bytes() const override { return sizeof *this + all.capacity() * sizeof(S); }
  std::vector<S> all;
};

// S begins as the summary of nothing and has add(words, reading) and merge(other, reading), whose
// order must not matter. What it loses by rounding must not grow with what has left a window: so
// nothing is ever taken out of a summary again, it is only left out.
template <class S>
class SummaryOf final : public SummaryKind {
 public:
  static const SummaryOf& kind() {
    static const SummaryOf one;
    return one;
  }
  std::unique_ptr<Summaries> make(size_t count) const override {
    return std::make_unique<SummariesOf<S>>(count);
  }
  void of_words(Summaries& all, size_t at, std::span<const int64_t> words,
                const Reading& reading) const override {
    S sum;
    sum.add(words, reading);
    of(all)[at] = sum;
  }
  void of_pair(Summaries& all, size_t at, size_t first, size_t second,
               const Reading& reading) const override {
    S sum = of(all)[first];
    sum.merge(of(all)[second], reading);
    of(all)[at] = sum;
  }
  void of_windows(const Summaries* blocks, const Pieces& pieces, const Reading& reading,
                  Summaries& windows) const override {
    const S* const kept =
        blocks == nullptr ? nullptr : static_cast<const SummariesOf<S>&>(*blocks).all.data();
    S sum;
    size_t word = 0;
    size_t block = 0;
    for (const Pieces::Step& step : pieces.steps) {
      sum.add(pieces.words.subspan(word, step.words_end - word), reading);
      for (; block < step.blocks_end; ++block) sum.merge(kept[pieces.blocks[block]], reading);
      word = step.words_end;
      of(windows)[step.window] = sum;
    }
  }

 private:
  static std::vector<S>& of(Summaries& all) { return static_cast<SummariesOf<S>&>(all).all; }
};

// How many values there are: kept for every argument.
struct CountSummary {
  uint32_t count = 0;
  void add(std::span<const int64_t> words, const Reading&) {
    count += static_cast<uint32_t>(words.size());
  }
  void merge(const CountSummary& other, const Reading&) { count += other.count; }
};

}  // namespace qw::features
