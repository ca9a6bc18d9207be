#include "models/engines/builtin.h"

#include "models/engines/detectors/detector.h"

namespace qw::models {

Result<std::unique_ptr<LearningEngine>> make_detector(std::string_view kind,
                                                      const Settings& settings) {
  // Every kind so far is a set of members of one engine; detectors::detector_kinds() names them.
  QW_ASSIGN(const detectors::DetectorSettings applied, detectors::apply_settings(kind, settings));
  return detectors::make_detector_engine(kind, applied, kStateBytesMax);
}

}  // namespace qw::models
