// The distribution of a model's scores as a small sketch, and what such a distribution is worth:
// what a package carries as its reference and what monitors compare with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::schema {

// Counts of numbers in fixed bins: zero, and 32 equal bins per doubling between 2^-16 and 2^32 on
// either side of it. Below 2^-16 a number counts as zero, beyond 2^32 it counts in the last bin.
//
// Exact where it matters: the share of numbers below any bin's edge has no error, whatever the
// order of arrival, so sketches of parts merge into the very sketch of the whole and a replay gives
// the same one. What is lost is the place inside a bin: a quantile is within 1/64 (1.6%) of a
// number of exactly that rank. Costs 8 bytes for each bin between the least and the greatest; a
// detector's scores need about 1 to 5 KB. A value; one thread at a time.
class ScoreSketch {
 public:
  static constexpr int kBinsPerDoubling = 32;
  static constexpr int kBinMax = 48 * kBinsPerDoubling;  // bins are -kBinMax .. kBinMax, 0 is zero

  // NaN and infinities are counted apart, in not_finite().
  void add(double number);
  void merge(const ScoreSketch& other);

  uint64_t count() const { return count_; }
  uint64_t not_finite() const { return not_finite_; }
  // The middle of the bin that holds this quantile (0..1); NaN when empty.
  double quantile(double share) const;

  static int bin_of(double number);
  static double middle_of(int bin);
  int first_bin() const { return first_; }
  int last_bin() const { return first_ + static_cast<int>(counts_.size()) - 1; }
  uint64_t in_bin(int bin) const {
    return bin < first_ || bin > last_bin() ? 0 : counts_[static_cast<size_t>(bin - first_)];
  }
  // How many lie in this bin or below it.
  uint64_t up_to(int bin) const;

  void encode(std::string& out) const;
  // Reads from the front of `bytes` and takes it away. kCorrupt.
  static Result<ScoreSketch> decode(std::string_view& bytes);

  friend bool operator==(const ScoreSketch&, const ScoreSketch&) = default;

 private:
  friend struct ScoreProfile;
  void add_to_bin(int bin, uint64_t count);

  int first_ = 0;
  std::vector<uint64_t> counts_;  // from first_ on; neither end is 0
  uint64_t count_ = 0;
  uint64_t not_finite_ = 0;
};

// A reference distribution. `effective` is the number of independent scores that fix it as well as
// these do: scores of one series resemble their neighbours, and a thousand of them may be worth
// fifty. Between 1 and the count.
struct ScoreProfile {
  ScoreSketch scores;
  double effective = 0;

  // {"format": 1, "count": .., "effective": .., "not_finite": .., "bins": [[bin, count], ..]}
  std::string json() const;
  // kBadInput saying what is missing or wrong; also for a profile without scores ("{}").
  static Result<ScoreProfile> from_json(std::string_view text);
};

// Collects scores with their times into at most 64 slices of equal length, whose length doubles as
// time goes on, and judges from how much the slices differ what the whole is worth.
//
// The method is the ratio estimator of cluster sampling (Cochran, Sampling Techniques, ch. 9): at
// each decile the variance of the slices' shares against that of independent scores. The worst
// decile counts, divided by the chi-square quantile that holds with 99%, so that chance does not
// flatter. Sound while scores further apart than a slice are as good as independent. A value; one
// thread at a time.
class SlicedScores {
 public:
  static constexpr size_t kSlices = 64;
  static constexpr size_t kSlicesMin = 16;  // below it `effective` is the number of slices

  explicit SlicedScores(int64_t slice_us = 1'000'000) : slice_us_(slice_us) {}
  void add(int64_t time_us, double score);
  ScoreProfile profile() const;
  uint64_t count() const;

  void encode(std::string& out) const;
  static Result<SlicedScores> decode(std::string_view& bytes);

 private:
  void halve();
  double inflation_at(int bin, const ScoreSketch& whole) const;

  int64_t slice_us_;
  int64_t begin_us_ = 0;  // of the first slice
  std::vector<ScoreSketch> slices_;
};

}  // namespace qw::schema
