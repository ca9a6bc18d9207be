#include "schema/profile.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/bytes.h"

namespace qw::schema {
namespace {

constexpr int kLowestExponent = -16;
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

Error damaged(const char* what) {
  return {ErrorCode::kCorrupt, std::string(what) + " is damaged", "", ""};
}

// The 1% quantile of the chi-square distribution (Wilson and Hilferty 1931; within 1% from 15
// degrees on).
double chi_square_low(double degrees) {
  const double spread = 2 / (9 * degrees);
  const double root = 1 - spread - 2.3263 * std::sqrt(spread);
  return degrees * root * root * root;
}

}  // namespace

// ---- ScoreSketch

int ScoreSketch::bin_of(double number) {
  const double size = std::fabs(number);
  if (size < std::ldexp(1.0, kLowestExponent)) return 0;
  // Exponent and the five highest bits of the fraction, counted from the lowest bin.
  const auto above = static_cast<int64_t>(std::bit_cast<uint64_t>(size) >> 47) -
                     (int64_t{1023 + kLowestExponent} << 5);
  const int bin = static_cast<int>(std::min<int64_t>(above + 1, kBinMax));
  return number < 0 ? -bin : bin;
}

double ScoreSketch::middle_of(int bin) {
  if (bin == 0) return 0;
  const int above = std::abs(bin) - 1;
  const double low = 1 + static_cast<double>(above % kBinsPerDoubling) / kBinsPerDoubling;
  const double middle =
      std::ldexp(low + 0.5 / kBinsPerDoubling, above / kBinsPerDoubling + kLowestExponent);
  return bin < 0 ? -middle : middle;
}

void ScoreSketch::add_to_bin(int bin, uint64_t count) {
  if (count == 0) return;
  if (counts_.empty()) first_ = bin;
  if (bin < first_) {
    counts_.insert(counts_.begin(), static_cast<size_t>(first_ - bin), 0);
    first_ = bin;
  }
  if (bin > last_bin()) counts_.resize(static_cast<size_t>(bin - first_) + 1, 0);
  counts_[static_cast<size_t>(bin - first_)] += count;
  count_ += count;
}

void ScoreSketch::add(double number) {
  if (!std::isfinite(number))
    ++not_finite_;
  else
    add_to_bin(bin_of(number), 1);
}

void ScoreSketch::merge(const ScoreSketch& other) {
  not_finite_ += other.not_finite_;
  for (int bin = other.first_bin(); bin <= other.last_bin(); ++bin)
    add_to_bin(bin, other.in_bin(bin));
}

uint64_t ScoreSketch::up_to(int bin) const {
  uint64_t below = 0;
  for (int at = first_; at <= std::min(bin, last_bin()); ++at) below += in_bin(at);
  return below;
}

double ScoreSketch::quantile(double share) const {
  if (count_ == 0) return kUnknown;
  const double wanted = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
  uint64_t below = 0;
  for (int bin = first_; bin <= last_bin(); ++bin) {
    below += in_bin(bin);
    if (in_bin(bin) > 0 && static_cast<double>(below) >= wanted) return middle_of(bin);
  }
  return middle_of(last_bin());
}

void ScoreSketch::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.varint(not_finite_);
  writer.varint(static_cast<uint64_t>(first_ + kBinMax));
  writer.varint(counts_.size());
  for (const uint64_t count : counts_) writer.varint(count);
}

Result<ScoreSketch> ScoreSketch::decode(std::string_view& bytes) {
  ByteReader reader(bytes);
  ScoreSketch read;
  read.not_finite_ = reader.varint();
  const uint64_t first = reader.varint();
  const uint64_t bins = reader.varint();
  if (!reader.ok() || first > 2 * kBinMax || bins > 2 * kBinMax + 1 - first)
    return damaged("a sketch of scores");
  for (uint64_t at = 0; at < bins; ++at)
    read.add_to_bin(static_cast<int>(first + at) - kBinMax, reader.varint());
  if (!reader.ok()) return damaged("a sketch of scores");
  bytes = reader.rest();
  return read;
}

// ---- ScoreProfile

std::string ScoreProfile::json() const {
  nlohmann::json bins = nlohmann::json::array();
  for (int bin = scores.first_bin(); bin <= scores.last_bin(); ++bin)
    if (scores.in_bin(bin) > 0) bins.push_back({bin, scores.in_bin(bin)});
  const nlohmann::json body = {{"format", 1},
                               {"count", scores.count()},
                               {"effective", effective},
                               {"not_finite", scores.not_finite()},
                               {"bins", std::move(bins)}};
  return body.dump();
}

Result<ScoreProfile> ScoreProfile::from_json(std::string_view text) {
  const auto bad = [](const std::string& what) {
    return Error{ErrorCode::kBadInput, "the reference profile " + what, "profile", ""};
  };
  const auto body = nlohmann::json::parse(text, nullptr, false);
  if (!body.is_object()) return bad("is no JSON object");
  if (!body.contains("format") || body["format"] != 1)
    return bad("has no format this version reads");
  if (!body.contains("bins") || !body["bins"].is_array()) return bad("has no bins");
  ScoreProfile profile;
  for (const auto& bin : body["bins"]) {
    if (!bin.is_array() || bin.size() != 2 || !bin[0].is_number_integer() ||
        !bin[1].is_number_unsigned())
      return bad("has a bin that is not [number, count]");
    const auto at = bin[0].get<int64_t>();
    if (std::abs(at) > ScoreSketch::kBinMax) return bad("has a bin out of range");
    profile.scores.add_to_bin(static_cast<int>(at), bin[1].get<uint64_t>());
  }
  if (body.contains("not_finite") && body["not_finite"].is_number_unsigned())
    profile.scores.not_finite_ = body["not_finite"].get<uint64_t>();
  if (!body.contains("effective") || !body["effective"].is_number())
    return bad("does not say how many independent scores it is worth");
  profile.effective = body["effective"].get<double>();
  const auto count = static_cast<double>(profile.scores.count());
  if (!(profile.effective >= 1 && profile.effective <= count))
    return bad("is worth less than one score, or more than it holds");
  return profile;
}

// ---- SlicedScores

void SlicedScores::halve() {
  for (size_t at = 0; at < slices_.size(); at += 2) {
    ScoreSketch both = std::move(slices_[at]);
    if (at + 1 < slices_.size()) both.merge(slices_[at + 1]);
    slices_[at / 2] = std::move(both);
  }
  slices_.resize((slices_.size() + 1) / 2);
  slice_us_ *= 2;
}

void SlicedScores::add(int64_t time_us, double score) {
  if (slices_.empty()) begin_us_ = time_us;
  int64_t since_us = 0;
  if (time_us < begin_us_ || __builtin_sub_overflow(time_us, begin_us_, &since_us)) since_us = 0;
  while (since_us / slice_us_ >= static_cast<int64_t>(kSlices)) {
    if (slice_us_ > std::numeric_limits<int64_t>::max() / 2) break;
    halve();
  }
  const size_t at = std::min(static_cast<size_t>(since_us / slice_us_), kSlices - 1);
  if (at >= slices_.size()) slices_.resize(at + 1);
  slices_[at].add(score);
}

uint64_t SlicedScores::count() const {
  uint64_t total = 0;
  for (const ScoreSketch& slice : slices_) total += slice.count();
  return total;
}

// How many times the variance of the share at or below `bin` exceeds that of independent scores.
double SlicedScores::inflation_at(int bin, const ScoreSketch& whole) const {
  const auto total = static_cast<double>(whole.count());
  const double share = static_cast<double>(whole.up_to(bin)) / total;
  if (share <= 0 || share >= 1) return 0;
  double squares = 0;
  double used = 0;
  for (const ScoreSketch& slice : slices_) {
    if (slice.count() == 0) continue;
    const double off =
        static_cast<double>(slice.up_to(bin)) - share * static_cast<double>(slice.count());
    squares += off * off;
    ++used;
  }
  return squares / chi_square_low(used - 1) * used / (share * (1 - share) * total);
}

ScoreProfile SlicedScores::profile() const {
  ScoreProfile profile;
  size_t used = 0;
  for (const ScoreSketch& slice : slices_) {
    profile.scores.merge(slice);
    used += slice.count() > 0 ? 1 : 0;
  }
  const auto total = static_cast<double>(profile.scores.count());
  if (total == 0) return profile;
  profile.effective = static_cast<double>(used);
  if (used < kSlicesMin) return profile;
  double worst = 1;
  for (int decile = 1; decile < 10; ++decile)
    worst = std::max(
        worst,
        inflation_at(ScoreSketch::bin_of(profile.scores.quantile(decile / 10.0)), profile.scores));
  profile.effective = std::max(1.0, total / worst);
  return profile;
}

void SlicedScores::encode(std::string& out) const {
  ByteWriter writer(out);
  writer.i64(slice_us_);
  writer.i64(begin_us_);
  writer.varint(slices_.size());
  for (const ScoreSketch& slice : slices_) slice.encode(out);
}

Result<SlicedScores> SlicedScores::decode(std::string_view& bytes) {
  ByteReader reader(bytes);
  SlicedScores read(reader.i64());
  read.begin_us_ = reader.i64();
  const uint64_t slices = reader.varint();
  if (!reader.ok() || slices > kSlices || read.slice_us_ <= 0) return damaged("a score reference");
  bytes = reader.rest();
  for (uint64_t at = 0; at < slices; ++at) {
    QW_ASSIGN(auto slice, ScoreSketch::decode(bytes));
    read.slices_.push_back(std::move(slice));
  }
  return read;
}

}  // namespace qw::schema
