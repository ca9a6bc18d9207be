// Takes published versions into service: warms them beside the champion and swaps between two
// events.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "app/runtime/committer.h"
#include "app/runtime/journal.h"
#include "app/runtime/pipeline.h"
#include "app/runtime/plan.h"
#include "app/runtime/warm_up.h"
#include "base/env.h"
#include "models/registry.h"
#include "store/store.h"

namespace qw::app {

// Owns a thread that looks into the registry every poll_us, and at once when woken: a
// version published by this process or another, whose lineage says `then: swap` and whose parent
// serves, is warmed, swapped in, and made champion. A version compared with another parent than
// the one that serves is refused; one that cannot be loaded fails; each with its reason, in the
// registry and in the journal (kind "model").
//
// The swap is one commit: the decisions before it, the record which version serves from here on
// (meta "serving/<name>"), the journal record, and the end of the old version's states. After a
// crash the store says which version serves; the registry's alias follows it.
class Rollout {
 public:
  // How often it looks. A value.
  struct Options {
    int64_t poll_us = 2'000'000;
  };
  Rollout(std::shared_ptr<const Plan> plan, store::Store& store, std::string registry_folder,
          Committer& committer, Pipeline& pipeline, Journal& journal, const Clock& clock,
          Options options);
  ~Rollout();

  void start();
  // Ends what is under way at the next safe place: a version that is warming goes on at the next
  // start. Before the committer stops.
  void stop();
  // Looks at once. Any thread.
  void wake();

 private:
  using Warming = std::vector<std::unique_ptr<WarmUp>>;

  void run(const std::stop_token& stop);
  Result<void> look(const std::stop_token& stop);
  Result<void> look_at(size_t model, const std::stop_token& stop);
  Result<void> roll_out(size_t model, const models::VersionInfo& info, int64_t serving,
                        const std::stop_token& stop);
  Result<void> warm(Warming& warming, const std::stop_token& stop);
  Result<void> bridge(Warming& warming, const std::stop_token& stop);
  Result<void> install(Warming& warming);
  void give_up(Warming& warming);
  Result<void> swap(size_t model, const models::VersionInfo& info, int64_t before,
                    const std::stop_token& stop);
  // Until everything in the open commit is durable.
  Result<void> wait_durable(const std::stop_token& stop);
  void tell(PendingCommit& open, size_t model, int64_t version, const char* phase,
            const std::string& title, const std::string& detail);
  Result<void> set_state(size_t model, int64_t version, models::VersionState state,
                         const std::string& title, const std::string& reason);
  std::vector<size_t> decisions_of(size_t model) const;

  const std::shared_ptr<const Plan> plan_;
  store::Store& store_;
  const std::string registry_folder_;
  Committer& committer_;
  Pipeline& pipeline_;
  Journal& journal_;
  const Clock& clock_;
  const Options options_;
  std::unique_ptr<models::Registry> registry_;
  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool woken_ = false;
  std::jthread thread_;
};

}  // namespace qw::app
