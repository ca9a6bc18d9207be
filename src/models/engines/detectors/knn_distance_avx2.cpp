// Compiled with -mavx2 (see CMakeLists.txt); called only where the processor has it.
#include "models/engines/detectors/knn_distance.h"

#define QW_DISTANCE_FUNCTION squared_distances_avx2
#include "models/engines/detectors/knn_distance_body.h"
