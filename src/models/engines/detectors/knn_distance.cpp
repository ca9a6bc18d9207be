#include "models/engines/detectors/knn_distance.h"

#define QW_DISTANCE_FUNCTION squared_distances_portable
#include "models/engines/detectors/knn_distance_body.h"

namespace qw::models::detectors {

DistanceFunction best_distance_function() {
  return __builtin_cpu_supports("avx2") ? squared_distances_avx2 : squared_distances_portable;
}

}  // namespace qw::models::detectors
