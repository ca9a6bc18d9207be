#include "cli/starter.h"

namespace qw::cli {
namespace {

constexpr char kRest[] = R"(
# Where events come from: host (this machine), file, http or kafka.
# `quickwater help app-file sources` lists the keys of each.
sources:
  - name: machine
    host: { interval: 1s }       # columns: series, metric, entity, value, ts
  # - name: orders
  #   kafka: { brokers: "${KAFKA}", topic: orders, group: my-app }
  #   event_time: ts             # the column that says when it happened
  #   event_id: order_id         # repeated records count once
  #   allowed_lateness: 30s
  #   schema: { order_id: string, customer: string, amount: double, ts: timestamp }

# What is known about a key at a moment: VIEW.AGGREGATE_WINDOW, such as recent.mean_1m.
features:
  - view: recent
    from: machine
    key: series
    windows: [1m, 5m]
    aggregates: { n: count(), mean: mean(value), max: max(value) }

# What turns features into a score. A detector learns each series while it scores it.
models:
  - name: unusual
    detector: ensemble
    key: series
    inputs: [value]

# What is decided on each event, and what follows.
decisions:
  - name: watch
    on: machine
    model: unusual
    output:
      severity: "case when warm and score >= threshold then 'warning' end"
    alert:
      severity: severity         # null means nothing is wrong
      for: 3s
      resolve_after: 10s
      summary: "{metric} is unusual: {value}"
    sinks:
      - log: {}
      # - webhook: { url: "${ALERT_URL}", secret: "${ALERT_KEY}" }
      # - alertmanager: { url: http://127.0.0.1:9093 }
)";

}  // namespace

std::string starter_app(const std::string& name) {
  return "# A Quickwater application. Every key: `quickwater help app-file`.\napp: " + name +
         "\ndata: data                       # logs, state and models; relative to this file\n" +
         kRest;
}

}  // namespace qw::cli
