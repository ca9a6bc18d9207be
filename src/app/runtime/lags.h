// How far every part of a running application is behind, as metrics.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "app/runtime/alerting.h"
#include "app/runtime/observer.h"
#include "base/env.h"
#include "base/metrics.h"

namespace qw::app {

class Runtime;

// Reads the runtime once a second on a thread of its own, so that the numbers move, and the system
// log is told, also when the pipeline waits for a disk or a sink: that is when they matter. Lasts
// as long as the runtime, which owns it and is not touched before start() or after stop().
class Lags final : public Observer {
 public:
  Lags(Runtime& runtime, const Clock& clock, MetricRegistry& metrics);
  ~Lags() override;

  void start();
  void stop();

  void on_decision(const DecisionSeen& seen) override;
  void on_journal(Seq seq, const schema::JournalRecord& record) override;

  // One reading without the thread.
  void read();

 private:
  struct WarmUp {
    double sum = 0;
    uint64_t count = 0;
  };
  // The gauges of one family that are set in a reading; those of the one before that are not say
  // nothing any more (a partition that moved to another member).
  class Shown {
   public:
    explicit Shown(std::set<Gauge*>& before) : before_(before) {}
    void set(Gauge& gauge, double value);
    void end();

   private:
    std::set<Gauge*>& before_;
    std::set<Gauge*> now_;
  };
  void read_sources();
  void read_pipeline();
  void read_limits(const std::map<std::string, AlertKeys>& alert_keys);
  void read_commits();
  void read_outboxes();
  void read_drift();
  void count_facts(size_t source);
  void count_to(const std::string& name, const std::string& help, const Labels& labels,
                uint64_t total);

  Runtime& runtime_;
  const Clock& clock_;
  MetricRegistry& metrics_;
  std::vector<WarmUp> warm_up_;  // by decision, since the last reading; under the pipeline's lane
  std::map<std::string, Gauge*> replay_gauges_;  // by the states' owner
  std::set<Gauge*> lag_gauges_, watermark_gauges_;
  std::vector<std::optional<std::set<uint32_t>>> owned_;  // partitions, by source
  std::mutex turn_mutex_;
  std::condition_variable turn_;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace qw::app
