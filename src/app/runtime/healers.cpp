#include "app/runtime/healers.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/runtime/connect.h"
#include "base/bytes.h"
#include "base/fail_point.h"
#include "base/guard.h"
#include "base/log.h"
#include "monitor/actions/command.h"
#include "schema/stored_record.h"
#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

using nlohmann::json;

constexpr uint8_t kJobKind = 0x47, kJobVersion = 1;
constexpr const char* kEndedMeanwhile = "its alert ended before it could begin";
constexpr size_t kRememberedAlerts =
    256;  // whose story a further attempt can tell; older ones are told by id alone

monitor::HealPolicy policy_of(const Plan& plan, const app::Heal& file) {
  monitor::HealPolicy policy;
  policy.enabled = plan.file.healing.enabled;
  policy.dry_run = file.dry_run;
  policy.reruns_after_crash = std::holds_alternative<Webhook>(file.action);
  policy.recover_within_us = file.recover_within_us;
  policy.limit_count = static_cast<uint32_t>(file.limit_count);
  policy.limit_per_us = file.limit_per_us;
  policy.stop_after = static_cast<uint32_t>(file.stop_after);
  return policy;
}

// What a command's placeholders may name.
std::map<std::string, std::string> values_of(const monitor::AlertDetail& detail) {
  return {{"alert_id", detail.change.alert_id},
          {"decision", detail.scope.decision},
          {"key", detail.change.key},
          {"metric", detail.metric},
          {"entity", detail.entity},
          {"severity", std::string(monitor::api_name_of(detail.change.transition.severity))},
          {"value", fmt::format("{}", detail.value)}};
}

store::ActionFinishedBody ended(const std::string& action_id, std::string_view state,
                                const std::string& reason, int http_status = 0,
                                uint64_t attempts = 0) {
  store::ActionFinishedBody body;
  body.action_id = action_id;
  body.state = state;
  body.message = reason;
  if (attempts > 0) body.attempts = attempts;
  if (http_status > 0) body.http_status = http_status;
  return body;
}

}  // namespace

// One healing action, with what a further attempt needs to tell of its alert.
struct Healers::Heal {
  Heal(const app::Heal& written, monitor::HealPolicy policy)
      : file(&written), healer(written.name.text, policy) {}

  const app::Heal* file;
  monitor::Healer healer;
  struct Story {
    std::string body;
    std::map<std::string, std::string> values;
  };
  std::map<std::string, Story> stories;  // by alert id
  std::vector<Job> held;                 // commands from before the start
  // A webhook's rows from before the start that are asked for once more, and may not leave yet.
  Seq asked_up_to;
  std::atomic<bool> holds_rows{false};

  std::string outbox() const { return "heal." + file->name.text; }
  const Webhook* webhook() const { return std::get_if<Webhook>(&file->action); }
};

// Passes everything on to the webhook's sink, and tells the healer of each end.
class Healers::ReportingSink final : public streams::Sink {
 public:
  ReportingSink(Healers& healing, Heal& heal, std::unique_ptr<streams::Sink> inner)
      : healing_(healing), heal_(heal), inner_(std::move(inner)) {}
  Result<Start> open(std::string_view saved) override { return inner_->open(saved); }
  size_t batch_rows() const override { return inner_->batch_rows(); }
  std::optional<std::string> state() const override { return inner_->state(); }
  bool ready() const override { return !heal_.holds_rows && inner_->ready(); }
  Result<void> tick(int64_t wall_us) override { return inner_->tick(wall_us); }
  streams::DeliveryReport deliver(std::span<const streams::PendingRow> rows) override {
    const streams::PendingRow& first = rows.front();
    if (first.seq <= heal_.asked_up_to && !healing_.wanted_still(heal_, first.row.action_id)) {
      tell(first, "skipped", kEndedMeanwhile, 0);
      return {0, streams::Refused{kEndedMeanwhile}};
    }
    for (const streams::PendingRow& row : rows) ++attempts_[row.seq];
    streams::DeliveryReport report = inner_->deliver(rows);
    const auto* const delivered = std::get_if<streams::Delivered>(&report.next);
    for (size_t index = 0; index < report.delivered; ++index)
      tell(rows[index], "delivered", "", delivered == nullptr ? 0 : delivered->http_status);
    if (const auto* refused = std::get_if<streams::Refused>(&report.next);
        refused && report.delivered < rows.size())
      tell(rows[report.delivered], "failed", refused->reason, refused->http_status);
    return report;
  }
  void gave_up(const streams::PendingRow& row, const std::string& reason) override {
    inner_->gave_up(row, reason);
    tell(row, "failed", reason, 0);
  }
  void cancel() override { inner_->cancel(); }

 private:
  void tell(const streams::PendingRow& row, std::string_view state, const std::string& reason,
            int http_status) {
    const auto tried = attempts_.extract(row.seq);
    const uint64_t attempts = tried.empty() ? 0 : tried.mapped();
    healing_.finished(heal_, ended(row.row.action_id, state, reason, http_status, attempts));
  }
  Healers& healing_;
  Heal& heal_;
  std::unique_ptr<streams::Sink> inner_;
  std::map<Seq, uint64_t> attempts_;  // since the start, of the rows that are not ended
};

Healers::Healers(const Plan& plan, store::Lane& lane, store::Journal& journal,
                 streams::Outboxes& outboxes, const Clock& clock)
    : plan_(plan), lane_(lane), journal_(journal), outboxes_(outboxes), clock_(clock) {
  for (size_t decision = 0; decision < plan.decisions.size(); ++decision)
    for (const PlanHeal& heal : plan.decisions[decision].heals)
      heals_[decision].push_back(std::make_unique<Heal>(*heal.file, policy_of(plan, *heal.file)));
}

Healers::~Healers() {
  stop(0);
  if (cancel_fd_ >= 0) ::close(cancel_fd_);
}

Result<void> Healers::add_sinks(const streams::Surroundings& surroundings, const OwnServer& own) {
  for (auto& [decision, heals] : heals_)
    for (auto& heal : heals) {
      if (heal->webhook() == nullptr) continue;
      streams::WebhookSinkConfig webhook = webhook_config_of(*heal->webhook());
      if (webhook.url.starts_with('/')) {
        webhook.url = own.url + webhook.url;
        if (webhook.secret.empty()) webhook.secret = own.secret;
      }
      QW_ASSIGN(auto sink, streams::make_sink({heal->outbox(), webhook}, surroundings));
      streams::OutboxOptions options;
      options.sink = heal->outbox();
      // A remedy that arrives after its time would heal something else.
      options.deadline_ms = heal->file->recover_within_us / 1000;
      auto reporting = std::make_unique<ReportingSink>(*this, *heal, std::move(sink));
      QW_TRY(outboxes_.add(options, std::move(reporting), &lane_));
    }
  return {};
}

std::string Healers::Job::action_id() const {
  return monitor::heal_action_id(heal->file->name.text, alert_id, attempt);
}

std::string Healers::job_bytes(const Job& job) {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.text(job.heal->file->name.text);
  writer.text(job.alert_id);
  writer.u32(job.attempt);
  writer.u8(job.begun ? 1 : 0);
  writer.varint(job.values.size());
  for (const auto& [name, value] : job.values) {
    writer.text(name);
    writer.text(value);
  }
  seal_record(kJobKind, kJobVersion, body, sealed);
  return sealed;
}

Healers::Heal* Healers::heal_named(std::string_view name) {
  for (auto& [decision, heals] : heals_)
    for (auto& heal : heals)
      if (heal->file->name.text == name) return heal.get();
  return nullptr;
}

// The file names the action no more.
void Healers::forget_job(store::PendingCommit& open, std::string_view heal, const Job& job) {
  monitor::HealStep step;
  step.kind = job.begun ? monitor::HealStepKind::kUnknown : monitor::HealStepKind::kSkip;
  step.heal = heal;
  step.alert_id = job.alert_id;
  step.attempt = job.attempt;
  step.action_id = monitor::heal_action_id(heal, job.alert_id, job.attempt);
  step.at_us = clock_.wall_us();
  step.note = "the application file names the action no more";
  journal_.append(open, monitor::journal_body(step));
  open.txn.erase_meta(store::meta::heal_job(step.action_id));
}

// The commands that waited or ran at the end of the last run.
Result<std::vector<Healers::Job>> Healers::read_jobs(const store::Store& store,
                                                     store::PendingCommit& open) {
  std::vector<Job> jobs;
  std::optional<Error> trouble;
  constexpr std::string_view kWhat = "a waiting command";
  QW_TRY(store.scan_meta(store::meta::kHealJob, [&](std::string_view, std::string_view bytes) {
    auto record = schema::open_stored(bytes, kJobKind, kJobVersion, kWhat);
    if (!record.ok()) trouble = record.error();
    if (trouble) return false;
    ByteReader& reader = *record;
    Job job;
    const std::string heal(reader.text());
    job.heal = heal_named(heal);
    job.alert_id = reader.text();
    job.attempt = reader.u32();
    job.begun = reader.u8() != 0;
    for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
      const std::string value_name(reader.text());
      job.values[value_name] = reader.text();
    }
    if (!reader.done()) trouble = schema::damaged_record(kWhat);
    if (trouble) return false;
    if (job.heal == nullptr || job.heal->webhook() != nullptr)
      forget_job(open, heal, job);
    else
      jobs.push_back(std::move(job));
    return true;
  }));
  if (trouble) return *trouble;
  return jobs;
}

Result<void> Healers::open(const store::Store& store, store::PendingCommit& open) {
  QW_ASSIGN(std::vector<Job> jobs, read_jobs(store, open));
  std::set<std::string> known;
  for (const Job& job : jobs) known.insert(job.action_id());
  for (auto& [decision, heals] : heals_)
    for (auto& heal : heals) {
      QW_ASSIGN(const auto saved, store.get_meta(store::meta::heal(heal->file->name.text)));
      if (saved) QW_TRY(heal->healer.restore(*saved));
      if (heal->webhook() != nullptr) QW_TRY(take_up_rows(store, *heal));
      std::vector<monitor::HealStep> steps;
      heal->healer.after_restart(clock_.wall_us(), known, steps);
      carry_out(open, *heal, steps);
    }
  for (Job& job : jobs) take_up_job(open, std::move(job));
  return {};
}

void Healers::take_up_job(store::PendingCommit& open, Job job) {
  if (!job.begun) {
    ++commands_left_;
    return job.heal->held.push_back(std::move(job));
  }
  open.txn.erase_meta(store::meta::heal_job(job.action_id()));
  std::vector<monitor::HealStep> steps;
  job.heal->healer.is_unknown(job.alert_id, job.attempt, clock_.wall_us(), steps);
  carry_out(open, *job.heal, steps);
}

// After a time away in which the remedy's own was over, its rows wait for what is unread.
Result<void> Healers::take_up_rows(const store::Store& store, Heal& heal) {
  const int64_t clock_us = heal.healer.clock_us();
  if (clock_us == monitor::kNever || clock_.wall_us() - clock_us < heal.file->recover_within_us)
    return {};
  QW_ASSIGN(heal.asked_up_to, store.last_outbox_seq(heal.outbox()));
  heal.holds_rows = true;
  return {};
}

bool Healers::wanted_still(const Heal& heal, const std::string& action_id) {
  const auto held = lane_.hold();
  return heal.healer.waits_for(action_id);
}

// Everything unread was read: what waited from before the start goes by what is the case now.
void Healers::release(store::PendingCommit& open, Heal& heal) {
  heal.holds_rows = false;
  for (Job& job : std::exchange(heal.held, {})) {
    auto arguments = arguments_of(job);  // what the file allows may have changed
    if (!heal.healer.waits_for(job.action_id())) {
      never_began(open, job, kEndedMeanwhile);
    } else if (!arguments.ok()) {
      never_began(open, job, arguments.error().to_string());
    } else {
      job.arguments = std::move(arguments).value();
      push(std::move(job));
    }
  }
}

void Healers::push(Job job) {
  if (jobs_.closed() || jobs_.try_push(std::move(job)) || jobs_.closed()) return;
  never_began(lane_.open(), job, fmt::format("more than {} commands wait", kCommandsMost));
}

void Healers::never_began(store::PendingCommit& open, const Job& job, const std::string& reason) {
  std::vector<monitor::HealStep> steps;
  job.heal->healer.never_began(job.alert_id, job.attempt, reason, clock_.wall_us(), steps);
  open.txn.erase_meta(store::meta::heal_job(job.action_id()));
  --commands_left_;
  carry_out(open, *job.heal, steps);
}

void Healers::start() {
  cancel_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  runner_ = std::jthread([this](const std::stop_token& stop) {
    run_commands(stop);
    ended_.tell();
  });
}

void Healers::stop(int64_t until_ns) {
  stopping_ = true;
  jobs_.close();
  if (!runner_.joinable()) return;
  runner_.request_stop();
  const int64_t limit_ms = std::max<int64_t>(0, until_ns - clock_.monotonic_ns()) / 1'000'000;
  if (!ended_.within(limit_ms)) {
    const uint64_t one = 1;
    [[maybe_unused]] const auto told = ::write(cancel_fd_, &one, sizeof one);
  }
  runner_.join();
}

void Healers::on_alert(store::PendingCommit& open, size_t decision,
                       const monitor::AlertDetail& detail, const std::vector<bool>& wanted) {
  const auto found = heals_.find(decision);
  if (found == heals_.end()) return;
  for (size_t index = 0; index < found->second.size(); ++index) {
    Heal& heal = *found->second[index];
    if (heal.stories.size() >= kRememberedAlerts) heal.stories.erase(heal.stories.begin());
    heal.stories[detail.change.alert_id] = {
        monitor::notification_json(detail, heal.file->name.text), values_of(detail)};
    std::vector<monitor::HealStep> steps;
    heal.healer.on_alert(detail.change, index < wanted.size() && wanted[index], clock_.wall_us(),
                         steps);
    carry_out(open, heal, steps);
    if (detail.change.transition.kind == monitor::TransitionKind::kResolved)
      heal.stories.erase(detail.change.alert_id);
  }
}

void Healers::tick(store::PendingCommit& open, KnownAt at,
                   const std::function<bool(size_t decision)>& behind) {
  for (auto& [decision, heals] : heals_) {
    const bool waits = behind(decision);
    for (auto& heal : heals) {
      if (waits) {
        heal->healer.on_tick_behind(at.value());
        continue;
      }
      release(open, *heal);
      std::vector<monitor::HealStep> steps;
      heal->healer.on_tick(at.value(), steps);
      carry_out(open, *heal, steps);
      if (steps.empty() && heal->healer.time_matters()) save(open, *heal);
    }
  }
}

Result<void> Healers::reset(store::PendingCommit& open, const std::string& name) {
  std::string known;
  for (auto& [decision, heals] : heals_)
    for (auto& heal : heals) {
      known += (known.empty() ? "" : ", ") + heal->file->name.text;
      if (heal->file->name.text != name) continue;
      std::vector<monitor::HealStep> steps;
      heal->healer.reset(clock_.wall_us(), steps);
      carry_out(open, *heal, steps);
      return {};
    }
  return Error{ErrorCode::kNotFound, fmt::format("there is no healing action '{}'", name), "heal",
               known.empty() ? "the application has none" : "use one of: " + known};
}

// The steps and the state they lead to become durable together; what they start begins after that.
void Healers::carry_out(store::PendingCommit& open, Heal& heal,
                        std::vector<monitor::HealStep>& steps) {
  if (steps.empty()) return;
  for (const monitor::HealStep& step : steps) {
    journal_.append(open, monitor::journal_body(step));
    if (step.kind == monitor::HealStepKind::kSkip)
      log::warning("heal", "{}: nothing is done about {}: {}", step.heal, step.alert_id, step.note);
    if (step.kind == monitor::HealStepKind::kStart) begin(open, heal, step);
  }
  save(open, heal);
}

void Healers::begin(store::PendingCommit& open, Heal& heal, const monitor::HealStep& step) {
  if (heal.webhook() == nullptr) return begin_command(open, heal, step);
  const auto story = heal.stories.find(step.alert_id);
  json body = story == heal.stories.end() ? json::object()
                                          : json::parse(story->second.body, nullptr, false);
  body["action_id"] = step.action_id;
  body["alert_id"] = step.alert_id;
  body["heal"] = step.heal;
  body["attempt"] = step.attempt;
  streams::OutboxRow row;
  row.action_id = step.action_id;
  row.created_at_us = clock_.wall_us();
  row.key = step.alert_id;
  row.json = body.dump(-1, ' ', false, json::error_handler_t::replace);
  outboxes_.put(open, heal.outbox(), row);
}

// kBadInput, kNotFound; kConflict: nothing may run.
Result<std::vector<std::string>> Healers::arguments_of(const Job& job) const {
  const app::Heal& file = *job.heal->file;
  if (!plan_.file.healing.enabled || file.dry_run)
    return Error{ErrorCode::kConflict, "healing is off in the application", file.name.text, ""};
  const std::string& name = std::get<CommandAction>(file.action).run.text;
  for (const Command& command : plan_.file.healing.commands)
    if (command.name.text == name) return monitor::fill_command(command.arguments, job.values);
  return Error{ErrorCode::kNotFound, fmt::format("'{}' is not in healing.commands", name),
               file.name.text, ""};
}

void Healers::begin_command(store::PendingCommit& open, Heal& heal, const monitor::HealStep& step) {
  Job job{&heal, step.alert_id, step.attempt, {}, false, {}};
  if (const auto story = heal.stories.find(step.alert_id); story != heal.stories.end())
    job.values = story->second.values;
  auto arguments = arguments_of(job);
  if (!arguments.ok()) {
    journal_.append(open, ended(step.action_id, "failed", arguments.error().to_string()));
    return heal.healer.on_finished(step.action_id);
  }
  job.arguments = std::move(arguments).value();
  ++commands_left_;
  open.txn.put_meta(store::meta::heal_job(step.action_id), job_bytes(job));
  open.then.push_back([this, job = std::move(job)] {
    const auto held = lane_.hold();
    push(job);
  });
}

void Healers::run_commands(const std::stop_token& stop) {
  while (true) {
    auto job = jobs_.pop_within(std::chrono::microseconds(500'000));
    if (stopping_) return;  // what waits runs after the next start
    if (!job) continue;
    const auto ran = guarded("heal", [&] { run_command(*job, stop); });
    if (!ran.ok()) log::error("heal", "{}: {}", job->action_id(), ran.error().to_string());
  }
}

void Healers::run_command(const Job& waiting, const std::stop_token& stop) {
  Job job = waiting;
  const std::string action_id = job.action_id();
  const auto note = [&](bool begun) {
    auto held = lane_.hold();
    store::PendingCommit& open = held.open();
    job.begun = begun;
    if (begun) job.heal->healer.on_begun(action_id);
    open.txn.put_meta(store::meta::heal_job(action_id), job_bytes(job));
    save(open, *job.heal);
  };
  note(true);
  // A stop came before it was durable: it waits for the next start.
  if (!lane_.wait_durable(stop).ok()) return note(false);
  monitor::CommandLimits limits;
  limits.timeout_ms = std::get<CommandAction>(job.heal->file->action).timeout_us / 1000;
  limits.grace_ms = 1000;  // a stop leaves it a second to end politely
  fail_point("heal.before_run");
  const monitor::CommandReport report =
      monitor::run_command(job.arguments, {}, limits, clock_, cancel_fd_);
  fail_point("heal.after_run");
  if (report.end == monitor::CommandEnd::kCancelled)
    return log::warning("heal", "{}: {} did not end before the program and was ended",
                        job.heal->file->name.text, action_id);
  finished(*job.heal, monitor::journal_body(action_id, report));
}

void Healers::finished(Heal& heal, const store::ActionFinishedBody& body) {
  auto held = lane_.hold();
  store::PendingCommit& open = held.open();
  heal.healer.on_finished(body.action_id);
  if (heal.webhook() == nullptr) {
    open.txn.erase_meta(store::meta::heal_job(body.action_id));
    --commands_left_;
  }
  journal_.append(open, body);
  save(open, heal);
}

void Healers::save(store::PendingCommit& open, const Heal& heal) {
  std::string bytes;
  heal.healer.save(bytes);
  open.txn.put_meta(store::meta::heal(heal.file->name.text), bytes);
}

}  // namespace qw::app
