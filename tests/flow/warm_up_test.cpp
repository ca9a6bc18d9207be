// Aim: a version that warms up learns every decision that is made meanwhile, whichever of its steps
// they fall between, and what was decided before, wherever it lies. Method: a source that gives
// events only when told, between each two steps, a history that is in segments, and an oracle that
// runs the version's engine over the decision log.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "flow_run.h"
#include "models/engines/builtin.h"
#include "serve/warm_up.h"
#include "store/segments/history.h"

namespace qw::test {
namespace {

constexpr size_t kRows = 20;
constexpr PartitionId kStream{2};

class FedSource final : public streams::Source {
 public:
  explicit FedSource(const std::atomic<uint64_t>& wanted) : wanted_(wanted) {}
  const std::shared_ptr<const schema::Schema>& schema() const override { return inner_.schema(); }
  Result<void> open(const streams::SavedPositions& saved, streams::SourceHost& host) override {
    return inner_.open(saved, host);
  }
  Result<streams::SourceBatch> poll(int64_t wait_us) override {
    if (given_ >= wanted_) {
      real_clock().sleep_us(std::min<int64_t>(wait_us, 1000));
      return streams::SourceBatch(schema());
    }
    given_ += kRows;
    return inner_.poll(wait_us);
  }
  void committed(uint32_t partition, const std::string& resume) override {
    inner_.committed(partition, resume);
  }
  streams::SourceStatus status() const override { return {}; }
  void close() override { inner_.close(); }

 private:
  static GeneratedOptions endless() {
    GeneratedOptions options;
    options.events = ~0ull;
    options.batch_rows = kRows;
    return options;
  }
  const std::atomic<uint64_t>& wanted_;
  uint64_t given_ = 0;
  GeneratedSource inner_{endless()};
};

using State = std::vector<uint64_t>;
std::span<std::byte> bytes_of(State& state) {
  return {reinterpret_cast<std::byte*>(state.data()), state.size() * sizeof(uint64_t)};
}

class WarmUpTest : public FlowTest {
 protected:
  void start() {
    app::RuntimeOptions options;
    options.data_folder = root_;
    options.make_source = [this](size_t) -> Result<std::unique_ptr<streams::Source>> {
      return std::unique_ptr<streams::Source>(std::make_unique<FedSource>(wanted_));
    };
    app::AppFile file = flow_app();
    file.segments = {100'000, 1'000'000, 20'000};
    auto started = app::Runtime::start(plan_of(file), options, real_clock(), metrics_, nullptr);
    ASSERT_TRUE(started.ok()) << started.error().to_string();
    runtime_ = std::move(started).value();
  }
  // So many more events; returns once each of them is decided and durable.
  void feed(uint64_t events) {
    wanted_ += events;
    wait_until("the decisions", [&] {
      return runtime_->store().last_seq(store::Log::kDecisions, kStream).value() == Seq{wanted_};
    });
  }
  void roll(size_t segments) {
    wait_until("segments", [&] {
      EXPECT_TRUE(runtime_->roller().roll_now(60'000'000).ok());
      return store::segments_of(runtime_->store(), store::Log::kDecisions, kStream)->size() >=
             segments;
    });
  }
  // What the engine knows of each key after all decisions, with the last one it saw.
  struct Learned {
    State state;
    models::Observation last;
  };
  std::map<std::string, Learned> oracle(const models::LearningEngine& engine) {
    std::map<std::string, Learned> keys;
    EXPECT_TRUE(store::History(runtime_->store())
                    .scan(store::Log::kDecisions, kStream, Seq{0}, Seq{~0ull},
                          [&](Seq, std::string_view bytes) {
                            const auto record = schema::decode_decision(bytes).value();
                            Learned& key = keys[record.key];
                            if (key.state.empty()) {
                              key.state.resize((engine.state_bytes() + 7) / 8);
                              engine.init(bytes_of(key.state));
                            }
                            key.last = serve::observation_of(record);
                            engine.update_and_score(key.last, bytes_of(key.state));
                            return true;
                          })
                    .ok());
    return keys;
  }

  std::atomic<uint64_t> wanted_{0};
  std::unique_ptr<app::Runtime> runtime_;
};

TEST_F(WarmUpTest, NothingThatIsDecidedMeanwhileIsLost) {
  start();
  feed(3000);
  roll(3);
  const std::shared_ptr<const models::LearningEngine> engine =
      models::make_detector("ensemble", {{"activity.rate", 0.05}}).value();
  store::Lane& lane = runtime_->events();
  serve::WarmUp warm(runtime_->store(), lane, runtime_->pipeline().slot(0), 1, engine,
                     real_clock());
  const std::stop_token never;
  EXPECT_EQ(warm.progress().first, 0u);
  while (warm.replay(never).value() > 0) {
  }
  const auto [read, known] = warm.progress();
  EXPECT_GT(known, 0u);
  EXPECT_EQ(read, known);
  feed(200);  // for the bridge
  {
    const auto held = lane.hold();
    warm.tap();
  }
  feed(200);  // put aside, and durable before the bridge is built
  ASSERT_TRUE(warm.bridge(never).ok());
  feed(200);
  while (warm.drain().value() > 0) {
  }
  feed(200);  // for the end
  std::unique_ptr<serve::LearningVersion> version;
  {
    const auto held = lane.hold();
    ASSERT_TRUE(warm.finish().ok());
    version = warm.take();
  }
  auto expected = oracle(*engine);
  ASSERT_EQ(expected.size(), 10u);
  Seq seq{wanted_};
  for (auto& [key, learned] : expected) {
    models::Observation next_one = learned.last;
    next_one.event_time_us += 1'000'000;
    const auto right = engine->update_and_score(next_one, bytes_of(learned.state));
    const auto got =
        version->score(kStream, key, seq = next(seq), real_clock().monotonic_ns() / 1000, next_one);
    ASSERT_TRUE(got.ok() && got->has_value()) << key;
    EXPECT_EQ((*got)->score, right.score) << key;
    EXPECT_EQ((*got)->warm, right.warm) << key;
  }
  runtime_->stop();
}

}  // namespace
}  // namespace qw::test
