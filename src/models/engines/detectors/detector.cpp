#include "models/engines/detectors/detector.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "models/engines/detectors/series.h"

namespace qw::models::detectors {
namespace {

// Where the parts of a state block lie. Parts that change with every row come first and together;
// the rings, of which a row changes one slot, come behind.
class Layout {
 public:
  template <class T>
  size_t add(size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    static_assert(alignof(T) <= LearningEngine::kStateAlignment);
    const size_t offset = bytes_;
    bytes_ += (count * sizeof(T) + 7) / 8 * 8;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

template <class T>
std::span<T> part(std::span<std::byte> state, size_t offset, size_t count) {
  return {reinterpret_cast<T*>(state.data() + offset), count};
}

// A kernel with what the engine needs around it.
template <class Kernel>
struct Active {
  Kernel kernel;
  Calibration calibration;
  double weight;
  size_t slot;  // number of the member: its calibrator and its contribution
  size_t hot = 0;
  size_t ring = 0;
};

class DetectorEngine final : public LearningEngine {
 public:
  DetectorEngine(std::string_view kind, const DetectorSettings& settings);

  std::string_view kind() const override { return kind_; }
  size_t state_bytes() const override { return bytes_; }
  void init(std::span<std::byte> state) const override;
  Score update_and_score(const Observation& observation, std::span<std::byte> state) const override;
  std::span<const std::string_view> members() const override { return names_; }
  double threshold() const override { return settings_.threshold; }
  std::string settings_json() const override;

 private:
  template <class Kernel, class KernelSettings>
  void activate(std::optional<Active<Kernel>>& active, const Member<KernelSettings>& member,
                std::string_view name);
  void lay_out();
  void check(std::span<std::byte> state) const;
  void set_warm_up(uint64_t rows, Score& score) const;
  template <class Kernel>
  void judge(const Active<Kernel>& active, std::optional<double> raw, std::span<std::byte> state,
             Score& score) const;

  std::string kind_;
  DetectorSettings settings_;
  std::vector<std::string_view> names_;
  std::optional<Active<Knn>> knn_long_, knn_short_;
  std::optional<Active<RelativeEntropy>> relative_entropy_;
  std::optional<Active<Activity>> activity_;
  std::optional<Active<Seasonal>> seasonal_;
  std::optional<Active<HalfSpaceTrees>> half_space_trees_;
  size_t recent_rows_ = 1;
  uint64_t warm_at_ = 0;  // rows
  size_t series_ = 0, calibrators_ = 0, recent_ = 0, bytes_ = 0;
};

DetectorEngine::DetectorEngine(std::string_view kind, const DetectorSettings& settings)
    : kind_(kind), settings_(settings) {
  activate(knn_long_, settings.knn_long, kind_ == "ensemble" ? "knn_long" : "knn");
  activate(knn_short_, settings.knn_short, "knn_short");
  activate(relative_entropy_, settings.relative_entropy, "relative_entropy");
  activate(activity_, settings.activity, "activity");
  activate(seasonal_, settings.seasonal, "seasonal");
  activate(half_space_trees_, settings.half_space_trees, "half_space_trees");
  lay_out();
}

template <class Kernel, class KernelSettings>
void DetectorEngine::activate(std::optional<Active<Kernel>>& active,
                              const Member<KernelSettings>& member, std::string_view name) {
  if (member.weight <= 0) return;
  active.emplace(
      Active<Kernel>{Kernel(member.kernel), member.calibration, member.weight, names_.size()});
  names_.push_back(name);
  const Kernel& kernel = active->kernel;
  if constexpr (requires { kernel.recent_rows(); }) {
    recent_rows_ = std::max(recent_rows_, kernel.recent_rows());
  }
  const auto seen =
      static_cast<uint64_t>(std::max(settings_.warm_rows, member.calibration.rows_min));
  warm_at_ = std::max(warm_at_, kernel.rows_until_ready() + seen);
}

void DetectorEngine::lay_out() {
  Layout layout;
  series_ = layout.add<SeriesState>(1);
  calibrators_ = layout.add<Calibrator>(names_.size());
  if (relative_entropy_) relative_entropy_->hot = layout.add<RelativeEntropyState>(1);
  if (activity_) activity_->hot = layout.add<ActivityState>(1);
  if (seasonal_) seasonal_->hot = layout.add<SeasonalState>(1);
  if (half_space_trees_) half_space_trees_->hot = layout.add<HalfSpaceTreesState>(1);
  recent_ = layout.add<float>(recent_ring_floats(recent_rows_));
  if (seasonal_) seasonal_->ring = layout.add<HourState>(seasonal_->kernel.hours());
  if (relative_entropy_) {
    relative_entropy_->ring = layout.add<Histogram>(relative_entropy_->kernel.histograms());
  }
  if (knn_long_) knn_long_->ring = layout.add<float>(knn_long_->kernel.state_floats());
  if (knn_short_) knn_short_->ring = layout.add<float>(knn_short_->kernel.state_floats());
  if (half_space_trees_) {
    half_space_trees_->ring = layout.add<uint16_t>(half_space_trees_->kernel.state_counts());
  }
  bytes_ = layout.bytes();
}

void DetectorEngine::check(std::span<std::byte> state) const {
  QW_ASSERT(state.size() == bytes_);
  QW_ASSERT(reinterpret_cast<uintptr_t>(state.data()) % kStateAlignment == 0);
}

void DetectorEngine::init(std::span<std::byte> state) const {
  check(state);
  std::memset(state.data(), 0, state.size());
}

void DetectorEngine::set_warm_up(uint64_t rows, Score& score) const {
  score.warm = rows >= warm_at_;
  score.warm_up =
      score.warm ? 1.0F
                 : static_cast<float>(static_cast<double>(rows) / static_cast<double>(warm_at_));
}

template <class Kernel>
void DetectorEngine::judge(const Active<Kernel>& active, std::optional<double> raw,
                           std::span<std::byte> state, Score& score) const {
  if (!raw) return;
  Calibrator& calibrator =
      part<Calibrator>(state, calibrators_ + active.slot * sizeof(Calibrator), 1)[0];
  const double contribution = active.weight * calibrator.judge(*raw, active.calibration);
  score.contributions[active.slot] = static_cast<float>(contribution);
  score.score += contribution;
}

Score DetectorEngine::update_and_score(const Observation& observation,
                                       std::span<std::byte> state) const {
  check(state);
  Score score;
  SeriesState& series = part<SeriesState>(state, series_, 1)[0];
  if (!std::isfinite(observation.value)) {
    ++series.missing;
    score.missing = true;
    set_warm_up(series.rows, score);
    return score;
  }
  const std::span<float> recent = part<float>(state, recent_, recent_ring_floats(recent_rows_));
  const Row row = observe(series, recent, observation.event_time_us, observation.value);
  if (knn_long_) {
    const Knn& kernel = knn_long_->kernel;
    const auto ring = part<float>(state, knn_long_->ring, kernel.state_floats());
    judge(*knn_long_, kernel.update(row, ring), state, score);
  }
  if (knn_short_) {
    const Knn& kernel = knn_short_->kernel;
    const auto ring = part<float>(state, knn_short_->ring, kernel.state_floats());
    judge(*knn_short_, kernel.update(row, ring), state, score);
  }
  if (relative_entropy_) {
    const auto& [kernel, calibration, weight, slot, hot, ring] = *relative_entropy_;
    auto& own = part<RelativeEntropyState>(state, hot, 1)[0];
    const auto histograms = part<Histogram>(state, ring, kernel.histograms());
    judge(*relative_entropy_, kernel.update(row, own, histograms), state, score);
  }
  if (activity_) {
    auto& own = part<ActivityState>(state, activity_->hot, 1)[0];
    judge(*activity_, activity_->kernel.update(row, own), state, score);
  }
  if (seasonal_) {
    auto& own = part<SeasonalState>(state, seasonal_->hot, 1)[0];
    const auto hours = part<HourState>(state, seasonal_->ring, seasonal_->kernel.hours());
    judge(*seasonal_, seasonal_->kernel.update(row, own, hours), state, score);
  }
  if (half_space_trees_) {
    const HalfSpaceTrees& kernel = half_space_trees_->kernel;
    auto& own = part<HalfSpaceTreesState>(state, half_space_trees_->hot, 1)[0];
    const auto masses = part<uint16_t>(state, half_space_trees_->ring, kernel.state_counts());
    judge(*half_space_trees_, kernel.update(row, own, masses), state, score);
  }
  set_warm_up(series.rows, score);
  return score;
}

std::string DetectorEngine::settings_json() const {
  nlohmann::json json = nlohmann::json::object();
  DetectorSettings copy = settings_;
  for_each_setting(kind_, copy, [&](const SettingInfo& info, FieldRef field) {
    std::visit([&](auto* value) { json[info.name] = *value; }, field);
  });
  return json.dump();
}

}  // namespace

Result<std::unique_ptr<LearningEngine>> make_detector_engine(std::string_view kind,
                                                             const DetectorSettings& settings,
                                                             size_t state_bytes_max) {
  auto engine = std::make_unique<DetectorEngine>(kind, settings);
  if (engine->members().empty()) {
    return Error{ErrorCode::kBadInput, "every member of the detector has weight 0", "",
                 "give at least one member a weight above 0"};
  }
  if (engine->state_bytes() > state_bytes_max) {
    return Error{
        ErrorCode::kBadInput,
        "the detector would need " + std::to_string(engine->state_bytes()) + " bytes per series",
        "", "use fewer or shorter vectors: at most " + std::to_string(state_bytes_max) + " bytes"};
  }
  return std::unique_ptr<LearningEngine>(std::move(engine));
}

}  // namespace qw::models::detectors
