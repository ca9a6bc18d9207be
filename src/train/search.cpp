#include "train/search.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/result.h"

namespace qw::train {
namespace {

constexpr size_t kStartTrials = 10;
constexpr double kLonger = 1.5;
constexpr double kShorter = 0.9036;  // 1.5 ^ -1/4
constexpr double kGoodShare = 0.2;
constexpr size_t kGoodMin = 2;
constexpr int kCandidates = 24;
constexpr double kWidthMin = 0.03;

// A mixture of one normal per place and a wide one over everything, on [0, 1].
class Density {
 public:
  explicit Density(std::vector<double> places) : places_(std::move(places)) {
    std::sort(places_.begin(), places_.end());
    for (size_t at = 0; at < places_.size(); ++at) {
      const double left = at == 0 ? 0 : places_[at - 1];
      const double right = at + 1 == places_.size() ? 1 : places_[at + 1];
      const double floor =
          std::max(kWidthMin, 1.0 / (4.0 * static_cast<double>(places_.size() + 1)));
      const double gap = std::max(places_[at] - left, right - places_[at]);
      widths_.push_back(std::clamp(gap, floor, 0.3));
    }
  }
  double at(double x) const {
    double sum = 1;  // the wide one
    for (size_t i = 0; i < places_.size(); ++i) {
      const double z = (x - places_[i]) / widths_[i];
      sum += std::exp(-z * z / 2) / (widths_[i] * std::sqrt(2 * std::numbers::pi));
    }
    return sum / static_cast<double>(places_.size() + 1);
  }
  const std::vector<double>& places() const { return places_; }
  const std::vector<double>& widths() const { return widths_; }

 private:
  std::vector<double> places_;
  std::vector<double> widths_;
};

// Back into [0, 1] from the side it left on.
double reflect(double x) {
  if (x < 0) x = -x;
  if (x > 1) x = 2 - x;
  return std::clamp(x, 0.0, 1.0);
}

}  // namespace

Search::Search(std::vector<Dimension> dimensions, uint64_t seed)
    : dimensions_(std::move(dimensions)), random_(seed) {}

double Search::to_unit(size_t dimension, double value) const {
  const Dimension& d = dimensions_[dimension];
  if (d.high <= d.low) return 0;
  const double place = d.log_scale ? std::log(value / d.low) / std::log(d.high / d.low)
                                   : (value - d.low) / (d.high - d.low);
  return std::clamp(place, 0.0, 1.0);
}

double Search::to_value(size_t dimension, double place) const {
  const Dimension& d = dimensions_[dimension];
  double value =
      d.log_scale ? d.low * std::pow(d.high / d.low, place) : d.low + place * (d.high - d.low);
  if (d.integer) value = std::round(value);
  return std::clamp(value, d.low, d.high);
}

double Search::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - random_.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random_.uniform());
}

std::vector<double> Search::near_best() {
  const auto best =
      std::max_element(trials_.begin(), trials_.end(),
                       [](const Trial& a, const Trial& b) { return a.score < b.score; });
  std::vector<double> place;
  for (const double at : best->place) place.push_back(reflect(at + width_ * normal()));
  return place;
}

std::vector<double> Search::most_promising() {
  std::vector<const Trial*> order;
  for (const Trial& trial : trials_) order.push_back(&trial);
  std::stable_sort(order.begin(), order.end(),
                   [](const Trial* a, const Trial* b) { return a->score > b->score; });
  const size_t good = std::max(
      kGoodMin, static_cast<size_t>(std::ceil(kGoodShare * static_cast<double>(order.size()))));
  std::vector<double> place;
  for (size_t at = 0; at < dimensions_.size(); ++at) {
    std::vector<double> above, below;
    for (size_t rank = 0; rank < order.size(); ++rank)
      (rank < good ? above : below).push_back(order[rank]->place[at]);
    const Density likes(std::move(above));
    const Density dislikes(std::move(below));
    double best = 0;
    double best_ratio = -1;
    for (int candidate = 0; candidate < kCandidates; ++candidate) {
      const size_t centre = random_.below(likes.places().size() + 1);
      const double x = centre == likes.places().size()
                           ? random_.uniform()
                           : reflect(likes.places()[centre] + likes.widths()[centre] * normal());
      const double ratio = likes.at(x) / dislikes.at(x);
      if (ratio > best_ratio) {
        best_ratio = ratio;
        best = x;
      }
    }
    place.push_back(best);
  }
  return place;
}

std::vector<double> Search::ask() {
  std::vector<double> place;
  std::vector<double> point;
  if (trials_.empty()) {
    for (size_t at = 0; at < dimensions_.size(); ++at) {
      place.push_back(to_unit(at, dimensions_[at].start));
      point.push_back(dimensions_[at].start);
    }
  } else {
    local_ = trials_.size() < kStartTrials || trials_.size() % 3 != 0;
    place = local_ ? near_best() : most_promising();
    for (size_t at = 0; at < place.size(); ++at) point.push_back(to_value(at, place[at]));
  }
  trials_.push_back({std::move(place), 0});
  return point;
}

void Search::tell(double score) {
  QW_ASSERT(!trials_.empty());
  trials_.back().score = score;
  bool better = true;
  for (size_t at = 0; at + 1 < trials_.size(); ++at) better = better && score > trials_[at].score;
  // The rule of one success in five keeps the steps as long as they pay.
  if (local_) width_ = std::clamp(better ? width_ * kLonger : width_ * kShorter, 0.002, 0.4);
}

}  // namespace qw::train
