// Squared Euclidean distances from one vector to many, eight at a time.
#pragma once

#include <cstddef>

namespace qw::models::detectors {

// Vectors lie in blocks of eight, element by element: block b holds element e of its vectors at
// blocks[(b * dims + e) * kLanes ... + kLanes). Remembering a vector then changes one block only.
inline constexpr size_t kLanes = 8;

// out[(b - first) * kLanes + lane] = sum over e of (element - query[e])^2 for b in [first, end).
// Each sum runs in the order of the elements without fused operations, so every variant gives the
// same bits.
using DistanceFunction = void (*)(const float* blocks, size_t dims, const float* query,
                                  size_t first, size_t end, float* out);

void squared_distances_portable(const float* blocks, size_t dims, const float* query, size_t first,
                                size_t end, float* out);
// Needs a processor with AVX2.
void squared_distances_avx2(const float* blocks, size_t dims, const float* query, size_t first,
                            size_t end, float* out);
// The fastest variant that this processor can run.
DistanceFunction best_distance_function();

}  // namespace qw::models::detectors
