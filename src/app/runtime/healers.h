// Healing: an alert starts an action, the action runs once, and whether it helped is recorded.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "app/runtime/plan.h"
#include "base/bounded_queue.h"
#include "base/ended.h"
#include "monitor/actions/healing.h"
#include "monitor/alerts/payload.h"
#include "store/commit/journal.h"
#include "store/commit/lane.h"
#include "store/store.h"
#include "streams/builtin.h"
#include "streams/outboxes.h"

namespace qw::app {

// This program's own server, for webhooks whose url is a path alone ("/v1/demo/heal"). A value.
struct OwnServer {
  std::string url;     // "http://127.0.0.1:8765"
  std::string secret;  // signs them when the file gives no secret
};

// Owns the healers of every decision and the thread that runs commands. Webhooks go through an
// outbox of their own ("heal.NAME") with the action id as Idempotency-Key. Commands wait as durable
// jobs (meta "heal_job/ACTION_ID"), begin once that they begin is durable, one after another, and
// are never run again after a crash. Calls with a store::PendingCommit are made
// under the lane.
//
// What waited when the program ended is looked at again after the start, once the events that wait
// unread were read: a command runs when its alert is still open, and is recorded as never begun
// when it is not. A webhook is delivered in any case, unless the program was away for longer than
// `recover_within`: then the same holds for it.
class Healers {
 public:
  Healers(const Plan& plan, store::Lane& lane, store::Journal& journal, streams::Outboxes& outboxes,
          const Clock& clock);
  ~Healers();

  // Adds the outboxes of webhooks; before Outboxes::start.
  Result<void> add_sinks(const streams::Surroundings& surroundings, const OwnServer& own);
  // Reads the healers' states back; what had begun and not finished becomes unknown.
  Result<void> open(const store::Store& store, store::PendingCommit& open);
  void start();
  // No further command starts. The one that runs may end until then (monotonic); after that it is
  // ended, and what became of it is unknown: the next start records that.
  void stop(int64_t until_ns);

  // `wanted`: for each heal of the decision, whether its `when` holds.
  void on_alert(store::PendingCommit& open, size_t decision, const monitor::AlertDetail& detail,
                const std::vector<bool>& wanted);
  // A recorded moment of the wall clock. `behind`: events of a decision's source wait unread, and
  // the recovery perhaps among them: nothing is judged.
  void tick(store::PendingCommit& open, KnownAt at,
            const std::function<bool(size_t decision)>& behind);
  // A person allows an action again that was stopped after failures in a row: from the next alert,
  // or escalation, on. kNotFound names the known ones.
  Result<void> reset(store::PendingCommit& open, const std::string& name);
  // Whether a command runs or waits for its turn. Any thread.
  bool busy() const { return commands_left_ > 0; }

 private:
  struct Heal;
  struct Job {
    Heal* heal = nullptr;
    std::string alert_id;
    uint32_t attempt = 0;
    std::map<std::string, std::string> values;  // of the alert, for the placeholders
    bool begun = false;
    std::vector<std::string> arguments;  // the program and what it gets, by the file as it is now
    std::string action_id() const;
  };
  class ReportingSink;

  void carry_out(store::PendingCommit& open, Heal& heal, std::vector<monitor::HealStep>& steps);
  void begin(store::PendingCommit& open, Heal& heal, const monitor::HealStep& step);
  void begin_command(store::PendingCommit& open, Heal& heal, const monitor::HealStep& step);
  void finished(Heal& heal, const store::ActionFinishedBody& body);
  void save(store::PendingCommit& open, const Heal& heal);
  Heal* heal_named(std::string_view name);
  static std::string job_bytes(const Job& job);
  Result<std::vector<Job>> read_jobs(const store::Store& store, store::PendingCommit& open);
  void forget_job(store::PendingCommit& open, std::string_view heal, const Job& job);
  void take_up_job(store::PendingCommit& open, Job job);
  Result<std::vector<std::string>> arguments_of(const Job& job) const;
  Result<void> take_up_rows(const store::Store& store, Heal& heal);
  void release(store::PendingCommit& open, Heal& heal);
  void push(Job job);
  void never_began(store::PendingCommit& open, const Job& job, const std::string& reason);
  bool wanted_still(const Heal& heal, const std::string& action_id);
  void run_commands(const std::stop_token& stop);
  void run_command(const Job& waiting, const std::stop_token& stop);

  const Plan& plan_;
  store::Lane& lane_;
  store::Journal& journal_;
  streams::Outboxes& outboxes_;
  const Clock& clock_;
  std::map<size_t, std::vector<std::unique_ptr<Heal>>> heals_;  // by decision, in the file's order
  // Each is durable until it ran; further ones are recorded as never begun.
  static constexpr size_t kCommandsMost = 1024;
  BoundedQueue<Job> jobs_{kCommandsMost};
  std::atomic<int> commands_left_{0};
  std::atomic<bool> stopping_{false};
  int cancel_fd_ = -1;  // readable: the command that runs is to end
  Ended ended_;
  std::jthread runner_;
};

}  // namespace qw::app
