// What can be set: every kind's fields with ranges, and the shipped values.
#include <algorithm>

#include "models/engines/detectors/settings.h"

namespace qw::models::detectors {
namespace {

// Names fields with the member's prefix and hands them on.
struct Fields {
  std::string prefix;
  const OnField& on_field;

  void operator()(FieldRef field, std::string_view name, double min, double max, bool log_scale,
                  std::string_view unit, std::string_view help, bool searched = true) const {
    SettingInfo info;
    info.name = prefix + std::string(name);
    info.integer = std::holds_alternative<int*>(field);
    info.min = min;
    info.max = max;
    info.log_scale = log_scale;
    info.searched = searched;
    info.unit = unit;
    info.help = help;
    on_field(info, field);
  }
};

constexpr bool kLog = true;
constexpr bool kLinear = false;
constexpr bool kFixed = false;  // not searched

void kernel_fields(KnnSettings& s, const Fields& field) {
  field(&s.dims, "dims", 2, 32, kLog, "block means", "length of a remembered shape");
  field(&s.step, "step", 1, 8, kLog, "rows", "rows averaged into one element of a shape");
  field(&s.vectors, "vectors", 50, 2000, kLog, "vectors", "shapes searched");
  field(&s.stride, "stride", 1, 10, kLog, "rows", "rows between two remembered shapes");
  field(&s.delay_rows, "delay_rows", 1, 1000, kLog, "rows", "a shape is searched this late");
  field(&s.neighbours, "neighbours", 1, kNeighboursMax, kLog, "vectors", "distances averaged");
}

void kernel_fields(RelativeEntropySettings& s, const Fields& field) {
  field(&s.bins, "bins", 2, kBinsMax, kLog, "bins", "bins of a histogram");
  field(&s.window, "window", 8, 128, kLog, "rows", "rows in a histogram");
  field(&s.histograms, "histograms", 4, kHistogramsMax, kLog, "histograms", "remembered");
  field(&s.novel, "novel", 1, 200, kLog, "2 * window * nats", "from here a histogram is new");
}

void kernel_fields(ActivitySettings& s, const Fields& field) {
  field(&s.rate, "rate", 0.001, 0.5, kLog, "per row", "forgetting of the mean movement");
  field(&s.past_rate, "usual_rate", 0.00001, 0.1, kLog, "per row", "forgetting of what is usual");
  field(&s.floor, "floor", 0.001, 1, kLog, "log units", "added to the usual deviation");
  field(&s.rows_min, "rows_min", 2, 1000, kLog, "rows", "silent until so many", kFixed);
}

void kernel_fields(SeasonalSettings& s, const Fields& field) {
  field(&s.period_hours, "period_hours", 1, kPeriodHoursMax, kLinear, "hours",
        "24 for hours of the day, 168 for hours of the week", kFixed);
  field(&s.rate, "rate", 0.001, 1, kLog, "per row", "forgetting within one hour's values");
  field(&s.residual_rate, "residual_rate", 0.0001, 0.1, kLog, "per row",
        "forgetting of the typical residual");
  field(&s.prior_rows, "prior_rows", 0.1, 1000, kLog, "rows", "weight of the typical residual");
}

void kernel_fields(HalfSpaceTreesSettings& s, const Fields& field) {
  field(&s.trees, "trees", 1, kTreesMax, kLog, "trees", "number of trees");
  field(&s.height, "height", 1, 12, kLinear, "levels", "splits on the way to a leaf");
  field(&s.window, "window", 10, 5000, kLog, "rows", "points in a window");
  field(&s.shingle, "shingle", 1, kFeaturesMax, kLinear, "rows", "last values in a point");
  field(&s.reach, "reach", 0.5, 100, kLog, "deviations", "from the mean to the edge of the box");
  field(&s.seed, "seed", 0, 1'000'000'000, kLinear, "", "of the random splits", kFixed);
}

void calibration_fields(Calibration& s, const Fields& field) {
  field(&s.short_rows, "short_rows", 1, kShortRowsMax, kLog, "rows", "raw values averaged");
  field(&s.rate, "past_rate", 0.00001, 0.1, kLog, "per row", "forgetting of past raw values");
  field(&s.prior_zeros, "prior_zeros", 0, 2000, kLinear, "rows", "zeros a fresh past begins with");
  field(&s.cap, "cap", 1, 17, kLinear, "score", "largest contribution before the weight");
  field(&s.rows_min, "calibration_rows", 2, 1000, kLog, "rows", "silent until so many", kFixed);
}

template <class Kernel>
void member_fields(Member<Kernel>& member, const std::string& name, const OnField& on_field) {
  const Fields field{name + ".", on_field};
  field(&member.weight, "weight", 0, 10, kLinear, "", "0 leaves the member out");
  kernel_fields(member.kernel, field);
  calibration_fields(member.calibration, field);
}

template <class Kernel>
void single_fields(Member<Kernel>& member, const OnField& on_field) {
  const Fields field{"", on_field};
  kernel_fields(member.kernel, field);
  calibration_fields(member.calibration, field);
}

// One member alone: its whole z matters, so the cap is out of the way.
template <class Kernel>
void alone(Member<Kernel>& member) {
  member.weight = 1;
  member.calibration.cap = 16;
}

DetectorSettings base_settings() {
  DetectorSettings s;
  s.knn_long.calibration.short_rows = 5;
  s.knn_short.kernel.dims = 8;
  s.knn_short.kernel.step = 3;
  s.seasonal.calibration.short_rows = 5;
  s.half_space_trees.calibration.short_rows = 5;
  return s;
}

}  // namespace

std::vector<std::string_view> detector_kinds() {
  return {"knn", "seasonal", "relative_entropy", "activity", "half_space_trees", "ensemble"};
}

Result<DetectorSettings> shipped_settings(std::string_view kind) {
  DetectorSettings s = base_settings();
  if (kind == "knn") {
    alone(s.knn_long);
    s.threshold = 1.25;
  } else if (kind == "seasonal") {
    alone(s.seasonal);
    s.threshold = 1;
  } else if (kind == "relative_entropy") {
    alone(s.relative_entropy);
    s.threshold = 1.7;
  } else if (kind == "activity") {
    alone(s.activity);
    s.threshold = 1.25;
  } else if (kind == "half_space_trees") {
    alone(s.half_space_trees);
    s.threshold = 1.4;
  } else if (kind == "ensemble") {
    s.knn_long.weight = 1;
    s.knn_short.weight = 1;
    s.relative_entropy.weight = 0.6;
    s.activity.weight = 0.4;
    s.seasonal.weight = 0.4;
    s.threshold = 3.6;
  } else {
    std::string known;
    for (const std::string_view name : detector_kinds()) {
      known += (known.empty() ? "" : ", ") + std::string(name);
    }
    return Error{ErrorCode::kBadInput, "no detector is called '" + std::string(kind) + "'", "",
                 "use one of: " + known};
  }
  return s;
}

void for_each_setting(std::string_view kind, DetectorSettings& s, const OnField& on_field) {
  if (kind == "knn") single_fields(s.knn_long, on_field);
  if (kind == "seasonal") single_fields(s.seasonal, on_field);
  if (kind == "relative_entropy") single_fields(s.relative_entropy, on_field);
  if (kind == "activity") single_fields(s.activity, on_field);
  if (kind == "half_space_trees") single_fields(s.half_space_trees, on_field);
  if (kind == "ensemble") {
    member_fields(s.knn_long, "knn_long", on_field);
    member_fields(s.knn_short, "knn_short", on_field);
    member_fields(s.relative_entropy, "relative_entropy", on_field);
    member_fields(s.activity, "activity", on_field);
    member_fields(s.seasonal, "seasonal", on_field);
    member_fields(s.half_space_trees, "half_space_trees", on_field);
  }
  const Fields field{"", on_field};
  field(&s.threshold, "threshold", 0.1, 100, kLog, "score", "at or above it is an alarm");
  field(&s.warm_rows, "warm_rows", 2, 100000, kLog, "rows", "raw values seen when warm", kFixed);
}

}  // namespace qw::models::detectors
