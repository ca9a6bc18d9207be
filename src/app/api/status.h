// GET /v1/status: the health of everything, cheap enough to ask once a second.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "app/api/board.h"
#include "app/api/json.h"
#include "app/api/lately.h"
#include "app/runtime/runtime.h"

namespace qw::app {

// Something a person should know, with the way out. A value.
struct Notice {
  std::string severity;  // "info", "warning", "critical"
  std::string code, where, message, how_to_mend;
};

// Collects the health of a running application. sample() about once a second; one thread.
class StatusAnswers {
 public:
  StatusAnswers(const Plan& plan, const Board& board, const Clock& clock,
                const MetricRegistry& metrics, std::string version);

  void sample(Runtime& runtime);
  Json answer(Runtime& runtime) const;
  int64_t started_us() const { return started_us_; }

  // What other parts say of themselves; each may be left out.
  std::function<Json()> alerts;  // {open, unjudged}
  std::function<Json()> demo;    // the demo part
  std::function<std::vector<Notice>()> more_notices;

 private:
  struct SourceCounts {
    streams::GateCounts gate;
    int64_t watermark_us = 0;
  };
  std::vector<SourceCounts> counts_of(Runtime& runtime) const;
  Json sources(Runtime& runtime, const std::vector<SourceCounts>& counts) const;
  Json stages() const;
  Json commit(Runtime& runtime) const;
  Json sinks(Runtime& runtime) const;
  Json dead_letters(const std::vector<SourceCounts>& counts) const;
  Json warm_up() const;
  Json notices(Runtime& runtime) const;
  std::string kind_of_sink(const std::string& name) const;

  const Plan& plan_;
  const Board& board_;
  const Clock& clock_;
  const std::string version_;
  const int64_t started_us_;
  const int64_t started_ns_;
  const bool replay_;
  StagesLately stages_;
  std::vector<RateLately> rates_;  // by source
  RateLately warming_;
  std::map<std::string, int64_t> failing_since_us_;  // by sink
};

}  // namespace qw::app
