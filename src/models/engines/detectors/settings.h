// The settings of every detector: plain structs, and one table that names each number, its default,
// its range and how a search should walk it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "models/engines/detectors/activity.h"
#include "models/engines/detectors/calibrate.h"
#include "models/engines/detectors/half_space_trees.h"
#include "models/engines/detectors/knn.h"
#include "models/engines/detectors/relative_entropy.h"
#include "models/engines/detectors/seasonal.h"

namespace qw::models {

// One setting of one kind of detector. `log_scale`: a search should step by factors.
// `searched`: it changes the score and is worth a search (a cap on memory is not).
struct SettingInfo {
  std::string name;
  bool integer = false;
  double default_value = 0;
  double min = 0;
  double max = 0;
  bool log_scale = false;
  bool searched = true;
  std::string unit;
  std::string help;
};

// Values by name; what is not named has its default.
using Settings = std::map<std::string, double, std::less<>>;

// The table of a kind. kBadInput with the known kinds when there is no such kind.
Result<std::vector<SettingInfo>> settings_table(std::string_view kind);
// Reads a JSON object of numbers. kBadInput: not an object of numbers, an unknown name (with the
// nearest valid one), a value out of range, a fraction where an integer is meant.
Result<Settings> settings_from_json(std::string_view kind, std::string_view json);
// The same checks for values that are numbers already.
Result<void> check_settings(std::string_view kind, const Settings& settings);

namespace detectors {

// One member of a detector. weight 0: left out, takes no state.
template <class KernelSettings>
struct Member {
  KernelSettings kernel;
  Calibration calibration;
  double weight = 0;
};

// Everything a detector is made from; the kinds differ in which members have a weight.
struct DetectorSettings {
  Member<KnnSettings> knn_long;
  Member<KnnSettings> knn_short;
  Member<RelativeEntropySettings> relative_entropy;
  Member<ActivitySettings> activity;
  Member<SeasonalSettings> seasonal;
  Member<HalfSpaceTreesSettings> half_space_trees;
  double threshold = 0;  // a score at or above it is an alarm
  int warm_rows = 64;    // raw values of each member seen before a score is warm
};

// The names of the kinds, as a person writes them.
std::vector<std::string_view> detector_kinds();
// The shipped settings of a kind. kBadInput with the known kinds when there is no such kind.
Result<DetectorSettings> shipped_settings(std::string_view kind);
// Shipped settings with the given values put in; checked.
Result<DetectorSettings> apply_settings(std::string_view kind, const Settings& settings);

using FieldRef = std::variant<int*, double*>;
using OnField = std::function<void(const SettingInfo& info, FieldRef field)>;
// Calls back with every setting of the kind and where it lies in `settings`. default_value is left
// for settings_table to fill in.
void for_each_setting(std::string_view kind, DetectorSettings& settings, const OnField& on_field);

}  // namespace detectors
}  // namespace qw::models
