// The one loop behind every variant of squared_distances_*: included once per instruction set, with
// QW_DISTANCE_FUNCTION naming the function. Includes nothing: inline library functions compiled for
// a newer processor must not leak into the rest of the program.

namespace qw::models::detectors {

// Unaligned on purpose: a state block is aligned to eight bytes only.
using Lanes = float __attribute__((vector_size(32), aligned(4), may_alias));

void QW_DISTANCE_FUNCTION(const float* blocks, size_t dims, const float* query, size_t first,
                          size_t end, float* out) {
  for (size_t block = first; block < end; ++block) {
    const float* elements = blocks + block * dims * kLanes;
    Lanes sum = {0, 0, 0, 0, 0, 0, 0, 0};
    for (size_t e = 0; e < dims; ++e) {
      const Lanes difference = *reinterpret_cast<const Lanes*>(elements + e * kLanes) - query[e];
      sum += difference * difference;
    }
    *reinterpret_cast<Lanes*>(out + (block - first) * kLanes) = sum;
  }
}

}  // namespace qw::models::detectors
