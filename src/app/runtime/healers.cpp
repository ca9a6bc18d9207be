#include "app/runtime/healers.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/runtime/connect.h"
#include "base/log.h"
#include "monitor/actions/command.h"

namespace qw::app {
namespace {

using nlohmann::json;

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

std::string ended_json(const std::string& action_id, std::string_view state,
                       const std::string& reason, int http_status = 0, uint64_t attempts = 0) {
  json body = {{"action_id", action_id}, {"state", state}, {"message", reason}};
  if (attempts > 0) body["attempts"] = attempts;
  if (http_status > 0) body["http_status"] = http_status;
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
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
  Result<void> tick(int64_t wall_us) override { return inner_->tick(wall_us); }
  streams::DeliveryReport deliver(std::span<const streams::PendingRow> rows) override {
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

 private:
  void tell(const streams::PendingRow& row, std::string_view state, const std::string& reason,
            int http_status) {
    const auto tried = attempts_.extract(row.seq);
    const uint64_t attempts = tried.empty() ? 0 : tried.mapped();
    healing_.finished(heal_, row.row.action_id,
                      ended_json(row.row.action_id, state, reason, http_status, attempts));
  }
  Healers& healing_;
  Heal& heal_;
  std::unique_ptr<streams::Sink> inner_;
  std::map<Seq, uint64_t> attempts_;  // since the start, of the rows that are not ended
};

Healers::Healers(const Plan& plan, Committer& committer, Journal& journal, Outboxes& outboxes,
                 const Clock& clock)
    : plan_(plan), committer_(committer), journal_(journal), outboxes_(outboxes), clock_(clock) {
  for (size_t decision = 0; decision < plan.decisions.size(); ++decision)
    for (const PlanHeal& heal : plan.decisions[decision].heals)
      heals_[decision].push_back(std::make_unique<Heal>(*heal.file, policy_of(plan, *heal.file)));
}

Healers::~Healers() { stop(); }

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
      QW_TRY(
          outboxes_.add(options, std::make_unique<ReportingSink>(*this, *heal, std::move(sink))));
    }
  return {};
}

Result<void> Healers::open(const store::Store& store, PendingCommit& open) {
  for (auto& [decision, heals] : heals_)
    for (auto& heal : heals) {
      QW_ASSIGN(const auto saved, store.get_meta("heal/" + heal->file->name.text));
      if (saved) QW_TRY(heal->healer.restore(*saved));
      std::vector<monitor::HealStep> steps;
      heal->healer.after_restart(clock_.wall_us(), steps);
      carry_out(open, *heal, steps);
    }
  return {};
}

void Healers::start() {
  runner_ = std::jthread([this] { run_commands(); });
}

void Healers::stop() {
  jobs_.close();
  if (runner_.joinable()) runner_.join();
}

void Healers::on_alert(PendingCommit& open, size_t decision, const monitor::AlertDetail& detail,
                       const std::vector<bool>& wanted) {
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

void Healers::tick(PendingCommit& open, KnownAt at,
                   const std::function<bool(size_t decision)>& behind) {
  for (auto& [decision, heals] : heals_) {
    const bool waits = behind(decision);
    for (auto& heal : heals) {
      if (waits) {
        heal->healer.on_tick_behind(at.value());
        continue;
      }
      std::vector<monitor::HealStep> steps;
      heal->healer.on_tick(at.value(), steps);
      carry_out(open, *heal, steps);
    }
  }
}

Result<void> Healers::reset(PendingCommit& open, const std::string& name) {
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
void Healers::carry_out(PendingCommit& open, Heal& heal, std::vector<monitor::HealStep>& steps) {
  if (steps.empty()) return;
  for (const monitor::HealStep& step : steps) {
    journal_.append(open, {std::string(monitor::name_of(step.kind)), clock_.wall_us(),
                           monitor::journal_json(step)});
    if (step.kind == monitor::HealStepKind::kSkip)
      log::warning("heal", "{}: nothing is done about {}: {}", step.heal, step.alert_id, step.note);
    if (step.kind == monitor::HealStepKind::kStart) begin(open, heal, step);
  }
  save(open, heal);
}

void Healers::begin(PendingCommit& open, Heal& heal, const monitor::HealStep& step) {
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

void Healers::begin_command(PendingCommit& open, Heal& heal, const monitor::HealStep& step) {
  const std::string& name = std::get<CommandAction>(heal.file->action).run.text;
  const auto story = heal.stories.find(step.alert_id);
  Result<std::vector<std::string>> arguments =
      Error{ErrorCode::kNotFound, fmt::format("'{}' is not in healing.commands", name),
            heal.file->name.text, ""};
  for (const Command& command : plan_.file.healing.commands)
    if (command.name.text == name)
      arguments = monitor::fill_command(
          command.arguments, story == heal.stories.end() ? std::map<std::string, std::string>{}
                                                         : story->second.values);
  const std::string action_id = step.action_id;
  if (!arguments.ok()) {
    journal_.append(open, {"action_finished", clock_.wall_us(),
                           ended_json(action_id, "failed", arguments.error().to_string())});
    return heal.healer.on_finished(action_id);
  }
  open.then.push_back([this, &heal, action_id, wanted = std::move(arguments).value()]() mutable {
    if (!jobs_.try_push({&heal, action_id, std::move(wanted)}))
      log::warning("heal", "{}: more than 64 commands wait; {} stays unstarted",
                   heal.file->name.text, action_id);
  });
}

void Healers::run_commands() {
  while (true) {
    auto job = jobs_.pop_within(std::chrono::microseconds(500'000));
    if (!job) {
      if (jobs_.closed()) return;
      continue;
    }
    monitor::CommandLimits limits;
    limits.timeout_ms = std::get<CommandAction>(job->heal->file->action).timeout_us / 1000;
    const monitor::CommandReport report = monitor::run_command(job->arguments, {}, limits, clock_);
    finished(*job->heal, job->action_id, monitor::journal_json(job->action_id, report));
  }
}

void Healers::finished(Heal& heal, const std::string& action_id, const std::string& journal_json) {
  const std::lock_guard lock(committer_.mutex());
  PendingCommit& open = committer_.open();
  heal.healer.on_finished(action_id);
  journal_.append(open, {"action_finished", clock_.wall_us(), journal_json});
  save(open, heal);
}

void Healers::save(PendingCommit& open, const Heal& heal) {
  std::string bytes;
  heal.healer.save(bytes);
  open.txn.put_meta("heal/" + heal.file->name.text, bytes);
}

}  // namespace qw::app
