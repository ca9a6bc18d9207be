// Finds good values of many settings in few tries: a tree-structured Parzen estimator that takes
// turns with steps around the best point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/env.h"

namespace qw::train {

// One value to be found, within [low, high]. log_scale needs low > 0.
struct Dimension {
  double low = 0;
  double high = 1;
  bool log_scale = false;
  bool integer = false;
  double start = 0;  // the best known value; the search begins around it
};

// Proposes points and learns from their scores (Bergstra et al., "Algorithms for hyper-parameter
// optimization", NIPS 2011): each dimension's values among the best trials and among the rest are
// two densities, and the next value is the draw whose ratio of the two is largest. Two of three
// trials are normal steps from the best point instead, as long as they pay (Rechenberg's rule of
// one in five): with tens of trials for tens of settings the densities alone are slow. Written here
// because dlib's optimiser, the packaged one, brings OpenCV, X11 and Python to build with.
// Equal seeds and scores give equal points. One thread at a time; never fails.
class Search {
 public:
  Search(std::vector<Dimension> dimensions, uint64_t seed);

  // The next point to try. The first is the start.
  std::vector<double> ask();
  // The score of the point asked for last; larger is better, -infinity for a point that cannot be.
  void tell(double score);

 private:
  struct Trial {
    std::vector<double> place;  // each in [0, 1]
    double score = 0;
  };
  double to_unit(size_t dimension, double value) const;
  double to_value(size_t dimension, double place) const;
  double normal();
  std::vector<double> near_best();
  std::vector<double> most_promising();

  const std::vector<Dimension> dimensions_;
  Random random_;
  std::vector<Trial> trials_;
  double width_ = 0.15;  // of a step, as a share of a dimension
  bool local_ = false;   // the trial asked for last
};

}  // namespace qw::train
