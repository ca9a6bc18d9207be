#include "app/runtime/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <future>
#include <limits>

#include "app/runtime/delivered_places.h"
#include "app/runtime/lags.h"
#include "app/runtime/training_run.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/nice.h"
#include "base/stop_limit.h"
#include "models/package.h"
#include "serve/open_version.h"

namespace qw::app {
namespace {

using std::chrono::microseconds;

constexpr int64_t kTickNs = 1'000'000'000;
constexpr int64_t kBehindNs = 2 * kTickNs;
constexpr int64_t kCheckpointNs = 1'000'000;
constexpr int64_t kIdleUs = 20'000;  // how long the pipeline sleeps when nothing comes

// Rows [begin, end) of a batch; position and rejected records go with the last part.
streams::SourceBatch part_of(const streams::SourceBatch& whole, size_t begin, size_t end) {
  streams::SourceBatch part(whole.rows.schema_ptr());
  part.partition = whole.partition;
  part.imported = whole.imported;
  part.receipt = whole.receipt;
  part.decided_to = whole.decided_to;
  part.gap = whole.gap && begin == 0;
  for (size_t row = begin; row < end; ++row) part.rows.append_row_from(whole.rows, row);
  if (!whole.arrived_us.empty())
    part.arrived_us.assign(whole.arrived_us.begin() + static_cast<ptrdiff_t>(begin),
                           whole.arrived_us.begin() + static_cast<ptrdiff_t>(end));
  if (!whole.positions.empty())
    part.positions.assign(whole.positions.begin() + static_cast<ptrdiff_t>(begin),
                          whole.positions.begin() + static_cast<ptrdiff_t>(end));
  if (end == whole.rows.rows()) {
    part.resume = whole.resume;
    part.rejected = whole.rejected;
  }
  return part;
}

// Those that write with the source.
std::vector<std::string> sinks_with(const Plan& plan, size_t source) {
  std::vector<std::string> names;
  for (const size_t decision : plan.sources[source].decisions)
    for (const PlanSink& sink : plan.decisions[decision].sinks)
      if (writes_with(plan.sources[source], *sink.file)) names.push_back(sink.name);
  return names;
}

PipelineOptions pipeline_options(const Plan& plan) {
  PipelineOptions pipeline;
  pipeline.event_durability = plan.file.durability.events == Durability::kMachine
                                  ? store::Durability::kMachine
                                  : store::Durability::kProcess;
  pipeline.features.state_ttl_us = plan.file.durability.state_ttl_us;
  pipeline.features.memory_bytes = static_cast<size_t>(plan.file.memory.views_bytes);
  return pipeline;
}

}  // namespace

// What the pipeline's thread takes from its inbox: a batch, or a wish to know when all before it is
// durable.
struct Runtime::Inbound {
  size_t source = 0;
  std::optional<streams::SourceBatch> batch;
  int64_t arrived_ns = 0;
  std::shared_ptr<std::promise<void>> flushed;
  uint64_t turn = 0;  // of the source's batches, counted
};

// One source and the thread that pulls it.
class Runtime::SourceThread final : public streams::SourceHost {
 public:
  SourceThread(Runtime& runtime, size_t index, std::unique_ptr<streams::Source> source)
      : runtime_(runtime),
        index_(index),
        source_(std::move(source)),
        delivered_(*runtime.outboxes_, sinks_with(*runtime.plan_, index)) {}

  Result<void> open() {
    const streams::SavedPositions saved = runtime_.pipeline_->saved_positions(index_);
    for (const auto& [partition, resume] : saved) delivered_.durable(partition, resume);
    return source_->open(saved, *this);
  }
  void start() {
    thread_ = std::jthread([this] {
      const std::string& name = runtime_.plan_->sources[index_].name;
      const auto ran = guarded("source " + name, [this] { run(); });
      if (!ran.ok()) runtime_.fail(ran.error());
      const auto closed = guarded("source " + name, [this] { source_->close(); });
      if (!closed.ok()) log::error("source", "{}", closed.error().to_string());
    });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  streams::Source& source() { return *source_; }
  DeliveredPlaces& places() { return delivered_; }
  // A batch that was pushed into the inbox was applied.
  void applied() {
    const std::lock_guard lock(queue_mutex_);
    queue_rows_ -= queue_.front().second;
    queue_.pop_front();
  }
  void describe_queue(SourceHealth& health) const {
    const std::lock_guard lock(queue_mutex_);
    health.queue_rows = queue_rows_;
    health.queue_since_ns = queue_.empty() ? 0 : queue_.front().first;
  }
  // What came long ago waits to be applied, or the source has not been at its end for long: where
  // nothing is heard of a key, its events may be among them. A source that keeps up with a steady
  // flow reaches its end again and again.
  bool behind(int64_t now_ns) const {
    SourceHealth queue;
    describe_queue(queue);
    const int64_t since_ns = queue.queue_since_ns == 0 ? now_ns : queue.queue_since_ns;
    return now_ns - std::min(since_ns, caught_up_ns_.load()) > kBehindNs;
  }
  // The source said it is finished and handed over everything before.
  bool read_all() const { return read_all_; }

  Result<void> flush(std::span<const uint32_t> partitions, int64_t timeout_ms) override {
    drop_in_hand(partitions);
    Inbound inbound;
    inbound.source = index_;
    inbound.flushed = std::make_shared<std::promise<void>>();
    auto done = inbound.flushed->get_future();
    const int64_t until_ns = runtime_.clock_.monotonic_ns() + timeout_ms * 1'000'000;
    const auto left = [&] {
      return microseconds(std::max<int64_t>(0, until_ns - runtime_.clock_.monotonic_ns()) / 1'000);
    };
    if (!runtime_.inbox_->push_within(std::move(inbound), left()) ||
        done.wait_for(left()) != std::future_status::ready)
      return Error{ErrorCode::kTimeout, "what was read is not durable in time",
                   runtime_.plan_->sources[index_].name, ""};
    // What is not delivered by then the next owner decides, and delivers, again.
    while (!delivered_.all(partitions) && left().count() > 0) runtime_.clock_.sleep_us(5'000);
    return {};
  }
  void lost(std::span<const uint32_t> partitions) override {
    log::warning("source",
                 "{}: {} partitions were taken by another owner before all that was read of them "
                 "was decided; the rest of it is dropped here",
                 runtime_.plan_->sources[index_].name, partitions.size());
    drop_in_hand(partitions);
    const auto held = runtime_.events_->hold();
    for (const uint32_t partition : partitions) lost_before_[partition] = turn_;
  }
  std::optional<std::string> delivered(uint32_t partition) override {
    return delivered_.of(partition);
  }
  // Under the pipeline's lane: the batch is of a partition that was lost since it was read.
  bool is_lost(uint32_t partition, uint64_t turn) const {
    const auto found = lost_before_.find(partition);
    return found != lost_before_.end() && turn <= found->second;
  }

 private:
  void run() {
    be_prompt();
    while (!runtime_.stopping_) {
      auto polled = source_->poll(100'000);
      if (!polled.ok()) {
        runtime_.fail(polled.error());
        break;
      }
      if (source_->caught_up()) caught_up_ns_ = runtime_.clock_.monotonic_ns();
      if (polled->empty()) {
        read_all_ = source_->status().state == streams::SourceState::kFinished;
        continue;
      }
      ++runtime_.batches_read_;
      const int64_t arrived_ns =
          polled->arrived_ns > 0 ? polled->arrived_ns : runtime_.clock_.monotonic_ns();
      const size_t rows = polled->rows.rows();
      {
        const std::lock_guard lock(queue_mutex_);
        queue_.emplace_back(arrived_ns, rows);
        queue_rows_ += rows;
      }
      in_hand_.emplace(Inbound{index_, std::move(polled).value(), arrived_ns, nullptr, ++turn_});
      while (in_hand_ &&
             !runtime_.inbox_->push_within(std::move(*in_hand_), microseconds(100'000))) {
        if (runtime_.stopping_) break;
        source_->serve();  // may flush, or lose, the very partition of this batch
      }
      in_hand_.reset();
    }
  }
  // A batch that waits for room in the inbox would be applied after the flush that gives its
  // partition up, and by the next owner too.
  void drop_in_hand(std::span<const uint32_t> partitions) {
    if (!in_hand_ || std::find(partitions.begin(), partitions.end(), in_hand_->batch->partition) ==
                         partitions.end())
      return;
    in_hand_.reset();
    --runtime_.batches_read_;
    const std::lock_guard lock(queue_mutex_);
    queue_rows_ -= queue_.back().second;
    queue_.pop_back();
  }

  Runtime& runtime_;
  const size_t index_;
  std::unique_ptr<streams::Source> source_;
  DeliveredPlaces delivered_;
  std::atomic<bool> read_all_{false};
  std::atomic<int64_t> caught_up_ns_{std::numeric_limits<int64_t>::min() / 2};
  mutable std::mutex queue_mutex_;
  std::deque<std::pair<int64_t, size_t>> queue_;  // read and not applied: when it came, rows
  uint64_t queue_rows_ = 0;
  std::optional<Inbound> in_hand_;  // polled, and not in the inbox yet; the source thread's
  uint64_t turn_ = 0;
  std::map<uint32_t, uint64_t> lost_before_;  // turns of a partition; the pipeline's lane
  std::jthread thread_;
};

Runtime::Runtime(std::shared_ptr<const Plan> plan, RuntimeOptions options, const Clock& clock,
                 MetricRegistry& metrics)
    : plan_(std::move(plan)), options_(std::move(options)), clock_(clock), metrics_(metrics) {}

Runtime::~Runtime() { stop(); }

Result<std::unique_ptr<Runtime>> Runtime::start(std::shared_ptr<const Plan> plan,
                                                const RuntimeOptions& options, const Clock& clock,
                                                MetricRegistry& metrics,
                                                net::HttpServer* http_server) {
  std::unique_ptr<Runtime> runtime(new Runtime(std::move(plan), options, clock, metrics));
  // A machine that refuses a thread or a descriptor says so by an exception.
  QW_TRY(guarded("start", [&] { return runtime->open(http_server); }));
  return runtime;
}

Result<void> Runtime::open(net::HttpServer* http_server) {
  store::StoreOptions store_options;
  store_options.folder = options_.data_folder;
  store_options.accept_loss = options_.accept_loss;
  store_options.max_open_files = options_.database_files;
  QW_ASSIGN(store_, store::Store::open(store_options, metrics_));
  std::vector<store::Loss> losses = store_->losses();
  QW_ASSIGN(registry_, options_.accept_loss
                           ? models::Registry::open_or_rebuild(options_.data_folder, losses)
                           : models::Registry::open(options_.data_folder));
  QW_TRY(store_->note_registry());
  store::CommitterOptions commits;
  commits.interval_us = plan_->file.durability.commit_interval_us;
  commits.on_broken = [this](const Error& error) { fail(error); };
  committer_ = std::make_unique<store::Committer>(*store_, clock_, metrics_, commits);
  QW_TRY(committer_->open());
  events_ = &committer_->lane("events");
  outside_ = &committer_->lane("outside");
  journal_ = std::make_unique<store::Journal>(clock_);
  const streams::Surroundings surroundings{clock_, metrics_, http_server, store_->id()};
  QW_TRY(open_sinks(surroundings));
  store::CheckpointerOptions checkpoints;
  checkpoints.replay_max_us = plan_->file.durability.replay_max_us;
  checkpointer_ = std::make_unique<store::Checkpointer>(*store_, *events_, clock_, checkpoints);
  warmer_ = std::make_unique<store::Warmer>(*events_, *checkpointer_, clock_);
  model_memory_ =
      std::make_shared<store::MemoryBudget>(static_cast<size_t>(plan_->file.memory.models_bytes));
  PipelineOptions options = pipeline_options(*plan_);
  options.model_memory = model_memory_;
  pipeline_ = std::make_unique<Pipeline>(plan_, *store_, *events_, *checkpointer_, *journal_,
                                         *outboxes_, *healing_, clock_, metrics_, options);
  for (Observer* observer : options_.observers) {
    pipeline_->watch(*observer);
    journal_->watch(*observer);
  }
  lags_ = std::make_unique<Lags>(*this, clock_, metrics_);
  pipeline_->watch(*lags_);
  journal_->watch(*lags_);
  QW_TRY(open_segments(losses));
  QW_TRY(pipeline_->open());
  QW_TRY(install_versions());
  QW_TRY(open_monitors());
  open_learning();
  const size_t to_replay = tell_recovery();
  inbox_ = std::make_unique<BoundedQueue<Inbound>>(options_.inbox_batches);
  for (size_t index = 0; index < plan_->sources.size(); ++index) {
    QW_ASSIGN(auto source, options_.make_source
                               ? options_.make_source(index)
                               : connect_source(*plan_, index, members_, surroundings));
    sources_.push_back(std::make_unique<SourceThread>(*this, index, std::move(source)));
    QW_TRY(sources_.back()->open());
  }
  system_log_ = std::make_unique<SystemLog>(*plan_, *store_, committer_->lane("system"), *journal_);
  QW_TRY(system_log_->started(to_replay, losses));
  committer_->start();
  QW_TRY(outboxes_->start());
  healing_->start();
  pipeline_thread_ = std::jthread([this] {
    const auto ran = guarded("pipeline", [this] { run_pipeline(); });
    if (!ran.ok()) fail(ran.error());
  });
  for (auto& source : sources_) source->start();
  warmer_->start();
  rollout_->start();
  trainer_->start();
  roller_->start();
  lags_->start();
  return {};
}

// What a start found behind the last checkpoints: records read in the logs, and those of them that
// states on disk do not hold, which each key replays when it is first touched.
size_t Runtime::tell_recovery() {
  size_t read = pipeline_->features().tail_read();
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision)
    read += pipeline_->slot(decision).tail_read();
  const size_t to_replay = checkpointer_->to_replay();
  log::info("recovery", "{} records read behind the checkpoints, {} of them to replay", read,
            to_replay);
  return to_replay;
}

Result<void> Runtime::open_sinks(const streams::Surroundings& surroundings) {
  outboxes_ = std::make_unique<streams::Outboxes>(*store_, committer_->lane("outboxes"), *journal_,
                                                  clock_, metrics_);
  members_ = group_members(*plan_);
  for (const PlanDecision& decision : plan_->decisions)
    for (const PlanSink& sink : decision.sinks) {
      QW_ASSIGN(auto made,
                connect_sink(*plan_, decision.source, *sink.file, members_, surroundings));
      QW_TRY(outboxes_->add(outbox_options_of(*sink.file), std::move(made)));
    }
  healing_ = std::make_unique<Healers>(*plan_, *events_, *journal_, *outboxes_, clock_);
  return healing_->add_sinks(surroundings, options_.own_server);
}

void Runtime::open_learning() {
  std::vector<serve::ServedModel> served;
  for (const PlanModel& model : plan_->models) served.push_back({&model, {}});
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision)
    served[plan_->decisions[decision].model].slots.push_back(&pipeline_->slot(decision));
  rollout_ = std::make_unique<serve::Rollout>(
      std::move(served), *store_, options_.data_folder, *events_, *journal_, clock_,
      options_.rollout,
      [this](size_t model, int64_t version) { monitors_->prepare(model, version); });
  trainer_ =
      std::make_unique<Trainer>(plan_, *store_, options_.data_folder, committer_->lane("training"),
                                *journal_, clock_, options_.trainer, [this] { rollout_->wake(); });
}

Result<serve::RollbackAsked> Runtime::roll_back(const std::string& model,
                                                const std::string& reason) {
  QW_ASSIGN(const size_t index, versioned_model(*plan_, model));
  return rollout_->roll_back(index, reason);
}

Result<void> Runtime::open_segments(std::vector<store::Loss>& losses) {
  Roller::Options rolling = options_.roller;
  rolling.accept_loss = options_.accept_loss;
  roller_ = std::make_unique<Roller>(plan_, *store_, *events_, *checkpointer_, *pipeline_, clock_,
                                     metrics_, std::move(rolling));
  QW_ASSIGN(const auto lost, roller_->open());
  losses.insert(losses.end(), lost.begin(), lost.end());
  return {};
}

Result<void> Runtime::install_versions() {
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision) {
    const PlanModel& model = plan_->models[plan_->decisions[decision].model];
    if (model.registry_name.empty()) continue;
    QW_ASSIGN(const int64_t number, serve::serving_version(store_.get(), *registry_, model));
    if (number == 0 && !model.engine) {
      log::info("model", "no version of '{}' serves yet: its decisions have no score", model.name);
      continue;
    }
    serve::ModelSlot& slot = pipeline_->slot(decision);
    QW_ASSIGN(auto version,
              serve::open_version(*store_, *registry_, model, slot.options(), number));
    QW_TRY(slot.install_champion(std::move(version)));
  }
  return {};
}

Result<void> Runtime::open_monitors() {
  const auto profile_of = [this](const std::string& name, int64_t version) -> Result<std::string> {
    // A handle of its own: whoever takes a version into service asks, on any thread.
    QW_ASSIGN(const auto registry, models::Registry::open(options_.data_folder));
    QW_ASSIGN(const auto info, registry->version(name, version));
    QW_ASSIGN(auto package, models::read_package(registry->folder() + "/" + info.folder));
    return std::move(package.profile);
  };
  monitors_ =
      std::make_unique<Monitors>(*plan_, *events_, *journal_, *outboxes_, clock_, profile_of);
  monitors_->on_training_wanted(
      [this](const TrainingWanted& wanted, const std::function<void()>& durable) {
        if (options_.may_train && !options_.may_train(wanted)) return;
        const auto asked =
            trainer_->request(wanted.model, "drift", wanted.reason, wanted.training, durable);
        if (asked.ok() || asked.error().code == ErrorCode::kConflict ||
            asked.error().code == ErrorCode::kUnavailable)
          return;  // heard, or asked again: after the one under way, after a start
        log::info("train", "{}: {}", wanted.reason, asked.error().message);
        durable();
      });
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision)
    if (const auto* champion = pipeline_->slot(decision).champion())
      monitors_->prepare(plan_->decisions[decision].model, champion->version());
  QW_TRY(monitors_->open(*store_,
                         [this](size_t decision) { return pipeline_->slot(decision).streams(); }));
  if (!plan_->file.monitors.empty()) pipeline_->watch(*monitors_);
  return {};
}

void Runtime::run_pipeline() {
  be_prompt();
  next_tick_ns_ = clock_.monotonic_ns() + kTickNs;
  while (true) {
    auto inbound = inbox_->pop_within(microseconds(kIdleUs));
    if (inbound) apply(*inbound);
    if (inbound && inbound->batch) sources_[inbound->source]->applied();
    housekeeping();
    if (!inbound && intake_ended_) break;
  }
  checkpoint_for_stop();
}

// With every state on disk the next start has nothing to replay. Bounded: what is left then is
// replayed.
void Runtime::checkpoint_for_stop() {
  const int64_t give_up_ns = stop_share_ns(50);
  while (clock_.monotonic_ns() < give_up_ns) {
    auto held = events_->hold();
    if (!held.wait_for_room(100'000)) continue;
    const auto left = checkpointer_->write(/*all=*/true);
    if (!left.ok())
      return log::warning("stop", "states are not checkpointed: {}", left.error().to_string());
    if (*left == 0) return;
  }
}

void Runtime::apply(Inbound& inbound) {
  if (inbound.flushed) {
    auto held = events_->hold();
    held.open().then.push_back([flushed = inbound.flushed] { flushed->set_value(); });
    return events_->hurry();
  }
  streams::SourceBatch& batch = *inbound.batch;
  const size_t rows = batch.rows.rows();
  if (rows <= options_.chunk_rows) {
    apply_chunk(inbound, std::move(batch), true);
    return;
  }
  for (size_t begin = 0; begin < rows; begin += options_.chunk_rows) {
    const size_t end = std::min(begin + options_.chunk_rows, rows);
    if (!apply_chunk(inbound, part_of(batch, begin, end), end == rows)) return;
    housekeeping();
  }
}

bool Runtime::apply_chunk(const Inbound& inbound, streams::SourceBatch&& chunk, bool last) {
  const size_t source = inbound.source;
  events_->give_way();
  auto held = events_->hold();
  // Full (a disk or a sink that is away): intake waits here, and with it the sources.
  while (!held.wait_for_room(100'000) || !outboxes_->room()) {
    if (sources_[source]->is_lost(chunk.partition, inbound.turn)) break;
    if (stopping_) abandoned_ = true;
    if (abandoned_) return false;
    if (!outboxes_->room()) {
      held.let_go();
      clock_.sleep_us(10'000);
      held.take_again();
    }
  }
  // What follows a batch that was left out, or that broke off, must not be taken in without it.
  if (abandoned_) return false;
  const uint32_t partition = chunk.partition;
  if (sources_[source]->is_lost(partition, inbound.turn)) {
    --batches_read_;
    return false;
  }
  const std::string resume = chunk.resume;
  const auto accepted = pipeline_->accept(source, std::move(chunk), inbound.arrived_ns);
  if (!accepted.ok()) {
    // Neither what was done of it nor what follows may become durable: all of it is read again.
    held.tear();
    abandoned_ = true;
    held.let_go();
    fail(accepted.error());
    return false;
  }
  if (last)
    held.open().then.push_back([this, from = sources_[source].get(), partition, resume] {
      from->places().durable(partition, resume);
      from->source().committed(partition, resume);
      ++batches_durable_;
    });
  return true;
}

void Runtime::housekeeping() {
  const int64_t now_ns = clock_.monotonic_ns();
  if (now_ns < next_tick_ns_ && now_ns < next_checkpoint_ns_) return;
  const auto held = events_->hold();
  Result<void> done;
  if (now_ns >= next_tick_ns_) {
    next_tick_ns_ = now_ns + kTickNs;
    done = pipeline_->tick([&](size_t source) { return sources_[source]->behind(now_ns); });
  }
  if (done.ok() && now_ns >= next_checkpoint_ns_) {
    next_checkpoint_ns_ = now_ns + kCheckpointNs;
    if (const auto left = checkpointer_->write(); !left.ok()) done = left.error();
  }
  if (!done.ok()) fail(done.error());
}

void Runtime::fail(const Error& error) {
  const std::lock_guard lock(failure_mutex_);
  log::error("run", "{}", error.to_string());
  if (!failure_) failure_ = error;
}

std::optional<Error> Runtime::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

int64_t Runtime::stop_share_ns(int percent) const {
  return stop_began_ns_ + options_.stop_limit_ms * 10'000 * percent;
}

Runtime::Stopped Runtime::stop() {
  if (stopping_.exchange(true)) return stopped_;
  stop_began_ns_ = clock_.monotonic_ns();
  if (committer_) committer_->give_up_at(stop_share_ns(85));
  const auto at = [](const char* part) { StopLimit::now_at(part); };
  at("recovery");
  if (warmer_) warmer_->stop();
  at("segments");
  if (roller_) roller_->stop();
  at("training");
  if (trainer_) trainer_->stop();
  at("the change of a model's version");
  if (rollout_) rollout_->stop();
  if (lags_) lags_->stop();
  at("sources");
  for (auto& source : sources_) source->join();
  intake_ended_ = true;
  at("the events that were read");
  if (pipeline_thread_.joinable()) pipeline_thread_.join();
  at("healing commands");
  if (outboxes_) outboxes_->end_soon();
  if (healing_) healing_->stop(stop_share_ns(60));
  at("sinks");
  if (outboxes_) outboxes_->stop(stop_share_ns(60));
  if (system_log_) {
    if (pipeline_)
      for (size_t index = 0; index < plan_->sources.size(); ++index)
        system_log_->look(index, pipeline_->gate(index).counts(), /*last=*/true);
    const auto why = failure();
    system_log_->stopped(why ? why->to_string() : "");
  }
  at("the last commit");
  if (committer_) stopped_.durable = committer_->stop();
  if (outboxes_)
    for (const auto& [name, status] : outboxes_->status()) stopped_.undelivered += status.waiting;
  at("closing");
  return stopped_;
}

std::vector<Runtime::SourceHealth> Runtime::sources() const {
  std::vector<SourceHealth> all;
  for (size_t index = 0; index < sources_.size(); ++index) {
    all.push_back({plan_->sources[index].name, plan_->sources[index].file->kind_name(),
                   sources_[index]->source().status(), 0, 0});
    sources_[index]->describe_queue(all.back());
  }
  return all;
}

bool Runtime::finished() const {
  for (const auto& source : sources_)
    if (!source->read_all()) return false;
  if (batches_read_ != batches_durable_) return false;
  for (const auto& [name, status] : outboxes_->status())
    if (status.waiting > 0) return false;
  return !healing_->busy();
}

}  // namespace qw::app
