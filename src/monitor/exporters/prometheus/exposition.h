// Writes a MetricRegistry as a Prometheus scrape: text format 0.0.4, or OpenMetrics 1.0 when the
// scraper asks for it.
//
// Latencies become histograms whose `le` bounds are the same in every process and version (powers
// of two of a microsecond, in seconds), so that sums over replicas and histogram_quantile are exact
// at the bounds. Names and labels are made valid: foreign characters become '_', bytes that are no
// UTF-8 become U+FFFD, a counter gets its '_total'.
// Formats: prometheus.io/docs/instrumenting/exposition_formats, openmetrics.io.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/net/http.h"

namespace qw::monitor::prometheus {

enum class Format { kText, kOpenMetrics };

// From the Accept header: OpenMetrics when it is preferred to plain text, text otherwise.
Format negotiate(std::string_view accept);
std::string_view content_type(Format format);

// The whole scrape. Values move while it is written; each histogram is nevertheless consistent
// (buckets never fall, +Inf equals _count). Any thread.
std::string exposition(const MetricRegistry& registry, Format format);

// The answer to GET /metrics.
net::HttpResponse scrape(const MetricRegistry& registry, std::string_view accept);

// What promtool would complain about (a gauge named _total, a latency not in _seconds, no help);
// empty when all is well.
std::vector<std::string> naming_problems(const MetricRegistry& registry);

// Upper bounds of the histogram buckets, in microseconds, without +Inf.
const std::vector<double>& bucket_bounds_us();

}  // namespace qw::monitor::prometheus
