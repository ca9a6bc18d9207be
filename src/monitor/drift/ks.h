// The Kolmogorov-Smirnov test of two score distributions, from their sketches.
#pragma once

#include "schema/profile.h"

namespace qw::monitor {

// The greatest difference between two cumulative distributions. A sketch does not know where in a
// bin its numbers lie, so the exact distance is known to lie between two values; they differ by
// no more than the share that one bin holds. The lower one is itself the exact distance of the
// numbers rounded to bins: whoever alarms on it alarms no more often than the exact test would
// be entitled to.
struct KsDistance {
  double at_least = 0;
  double at_most = 0;
};
// 0 when either is empty.
KsDistance ks_distance(const schema::ScoreSketch& a, const schema::ScoreSketch& b);

// The probability that two samples of one distribution, worth so many independent numbers each, lie
// at least this far apart: Kolmogorov's limit with Stephens' correction for small samples (Stephens
// 1970). Measured against the exact one (scipy.stats.ks_2samp, samples of 40 to 4000 numbers):
// below 0.1 it is 0.9 to 1.3 times that, down to 1e-20; above 0.1 within 0.05.
double ks_p_value(double distance, double effective_a, double effective_b);
// The distance whose p-value is `p`; above 1 when even that is too likely for so few.
double ks_critical(double p, double effective_a, double effective_b);

}  // namespace qw::monitor
