#include "models/engines/detectors/calibrate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qw::models::detectors {
namespace {

constexpr double kDeviationMin = 1e-6;
// As with the values themselves: absurd raw values must not hide the next ones. A raw value is in
// units of the series' own scale, so a thousand is no anomaly but a broken record; it lasts for as
// many rows as a member looks back, hence the stricter limit.
constexpr double kClipDeviations = 20;
constexpr double kAbsurdRaw = 1000;
constexpr double kClipAbsurdDeviations = 6;
constexpr uint32_t kClipAfterRows = 50;
constexpr double kRawMax = 1e12;

}  // namespace

double tail_score(double z, double cap) {
  if (!(z > 0)) return 0;
  const double tail = std::erfc(z / std::numbers::sqrt2);
  if (!(tail > 0)) return cap;  // below the smallest double, z > 38
  return std::min(cap, std::sqrt(std::max(0.0, -std::log10(tail))));
}

double Calibrator::judge(double raw, const Calibration& settings) {
  raw = std::min(raw, kRawMax);
  const auto length = static_cast<uint32_t>(settings.short_rows);
  recent[cursor] = static_cast<float>(raw);
  cursor = (cursor + 1) % length;
  const uint32_t seen = std::min(past.count, length - 1) + 1;
  double sum = 0;
  for (uint32_t i = 0; i < seen; ++i) sum += static_cast<double>(recent[i]);
  const double deviation = std::max(past.deviation(), kDeviationMin);
  const double z = (sum / seen - past.mean) / deviation;
  const bool ready = past.count >= static_cast<uint32_t>(settings.rows_min);
  const double reach = raw > kAbsurdRaw ? kClipAbsurdDeviations : kClipDeviations;
  const double limit = past.mean + reach * deviation;
  const double learned = past.count < kClipAfterRows ? raw : std::min(raw, limit);
  past.add(learned, settings.rate, settings.prior_zeros);
  return ready ? tail_score(z, settings.cap) : 0;
}

}  // namespace qw::models::detectors
