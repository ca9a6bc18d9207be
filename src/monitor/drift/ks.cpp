#include "monitor/drift/ks.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qw::monitor {
namespace {

// Kolmogorov's limit distribution, its upper tail. Two series for the same function, each used
// where it needs few terms.
double kolmogorov_tail(double at) {
  if (at <= 0.2) return 1;
  double sum = 0;
  if (at < 1) {
    for (int odd = 1; odd <= 9; odd += 2)
      sum += std::exp(-odd * odd * std::numbers::pi * std::numbers::pi / (8 * at * at));
    return 1 - sum * std::sqrt(2 * std::numbers::pi) / at;
  }
  for (int k = 1; k <= 8; ++k) sum += (k % 2 == 1 ? 2 : -2) * std::exp(-2 * k * k * at * at);
  return sum;
}

double scale_of(double effective_a, double effective_b) {
  const double root = std::sqrt(effective_a * effective_b / (effective_a + effective_b));
  return root + 0.12 + 0.11 / root;
}

}  // namespace

KsDistance ks_distance(const schema::ScoreSketch& a, const schema::ScoreSketch& b) {
  if (a.count() == 0 || b.count() == 0) return {};
  const auto total_a = static_cast<double>(a.count());
  const auto total_b = static_cast<double>(b.count());
  KsDistance distance;
  double below_a = 0;
  double below_b = 0;
  const int last = std::max(a.last_bin(), b.last_bin());
  for (int bin = std::min(a.first_bin(), b.first_bin()); bin <= last; ++bin) {
    const double up_to_a = below_a + static_cast<double>(a.in_bin(bin)) / total_a;
    const double up_to_b = below_b + static_cast<double>(b.in_bin(bin)) / total_b;
    distance.at_least = std::max(distance.at_least, std::fabs(up_to_a - up_to_b));
    distance.at_most = std::max({distance.at_most, up_to_a - below_b, up_to_b - below_a});
    below_a = up_to_a;
    below_b = up_to_b;
  }
  return distance;
}

double ks_p_value(double distance, double effective_a, double effective_b) {
  if (effective_a <= 0 || effective_b <= 0) return 1;
  return kolmogorov_tail(distance * scale_of(effective_a, effective_b));
}

double ks_critical(double p, double effective_a, double effective_b) {
  if (effective_a <= 0 || effective_b <= 0) return 2;
  double low = 0;
  double high = 20;  // a tail of e^-800
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (kolmogorov_tail(middle) > p ? low : high) = middle;
  }
  return high / scale_of(effective_a, effective_b);
}

}  // namespace qw::monitor
