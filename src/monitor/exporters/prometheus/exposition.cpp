#include "monitor/exporters/prometheus/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iterator>

#include "base/utf8.h"

namespace qw::monitor::prometheus {
namespace {

// 1 us to about 9 min. The last doubling of LatencyHistogram also holds everything beyond it, so it
// counts only in +Inf.
constexpr int kLastBound = 29;

bool valid_in_name(char c, bool first, bool colon) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x80) return false;
  return std::isalpha(byte) != 0 || c == '_' || (colon && c == ':') ||
         (!first && std::isdigit(byte) != 0);
}

std::string valid_name(std::string_view name, bool colon) {
  std::string valid;
  for (const char c : name) {
    if (valid.empty() && std::isdigit(static_cast<unsigned char>(c)) != 0) valid += '_';
    valid += valid_in_name(c, valid.empty(), colon) ? c : '_';
  }
  return valid.empty() ? "_" : valid;
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
      continue;
    }
    const char c = text.front();
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// name="value",name="value" without braces; empty for no labels.
std::string label_list(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    out += valid_name(name, false) + "=\"" + escaped(value, true) + '"';
  }
  return out;
}

void write_sample(std::string& out, std::string_view name, std::string_view labels,
                  std::string_view value) {
  out += name;
  if (!labels.empty()) out += fmt::format("{{{}}}", labels);
  out += fmt::format(" {}\n", value);
}

void write_histogram(std::string& out, const std::string& name, const std::string& labels,
                     const LatencyHistogram& latency) {
  const std::string lead = labels.empty() ? "" : labels + ",";
  uint64_t below = 0;
  for (const double bound_us : bucket_bounds_us()) {
    below = std::max(below, latency.count_at_or_below_us(bound_us));
    write_sample(out, name + "_bucket", fmt::format("{}le=\"{}\"", lead, bound_us * 1e-6),
                 std::to_string(below));
  }
  const uint64_t count = std::max(below, latency.count());
  write_sample(out, name + "_bucket", lead + "le=\"+Inf\"", std::to_string(count));
  write_sample(out, name + "_sum", labels, number(latency.sum_seconds()));
  write_sample(out, name + "_count", labels, std::to_string(count));
}

std::string_view type_of(MetricRegistry::Kind kind) {
  switch (kind) {
    case MetricRegistry::Kind::kCounter: return "counter";
    case MetricRegistry::Kind::kGauge: return "gauge";
    case MetricRegistry::Kind::kLatency: return "histogram";
  }
  return "untyped";
}

void write_family(std::string& out, const MetricRegistry::Family& family, Format format) {
  const bool open = format == Format::kOpenMetrics;
  std::string name = valid_name(family.name, true);
  const bool counter = family.kind == MetricRegistry::Kind::kCounter;
  if (counter && name.ends_with("_total")) name.resize(name.size() - 6);
  const std::string sample_name = counter ? name + "_total" : name;
  const std::string& head =
      open ? name : sample_name;  // OpenMetrics names the family, not a sample
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", head, escaped(family.help, open), head,
                     type_of(family.kind));
  for (const MetricRegistry::Sample& sample : family.samples) {
    const std::string labels = label_list(sample.labels);
    if (sample.counter != nullptr)
      write_sample(out, sample_name, labels, std::to_string(sample.counter->value()));
    if (sample.gauge != nullptr && !std::isnan(sample.gauge->value()))
      write_sample(out, sample_name, labels, number(sample.gauge->value()));
    if (sample.latency != nullptr) write_histogram(out, name, labels, *sample.latency);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view next_part(std::string_view& rest, char separator) {
  const size_t at = rest.find(separator);
  const std::string_view part = trimmed(rest.substr(0, at));
  rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
  return part;
}

double quality_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = next_part(parameters, ';');
    if (!parameter.starts_with("q=")) continue;
    double quality = 0;
    std::from_chars(parameter.data() + 2, parameter.data() + parameter.size(), quality);
    return quality;
  }
  return 1;
}

}  // namespace

const std::vector<double>& bucket_bounds_us() {
  static const std::vector<double> bounds = [] {
    std::vector<double> made;
    for (int power = 0; power <= kLastBound; ++power) made.push_back(std::exp2(power));
    return made;
  }();
  return bounds;
}

Format negotiate(std::string_view accept) {
  double text = 0;
  double open_metrics = 0;
  while (!accept.empty()) {
    std::string_view range = next_part(accept, ',');
    const std::string_view type = next_part(range, ';');
    const double quality = quality_of(range);
    if (type == "application/openmetrics-text") open_metrics = std::max(open_metrics, quality);
    if (type == "text/plain") text = std::max(text, quality);
  }
  return open_metrics > 0 && open_metrics >= text ? Format::kOpenMetrics : Format::kText;
}

std::string_view content_type(Format format) {
  return format == Format::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

std::string exposition(const MetricRegistry& registry, Format format) {
  std::string out;
  for (const MetricRegistry::Family& family : registry.families())
    write_family(out, family, format);
  if (format == Format::kOpenMetrics) out += "# EOF\n";
  return out;
}

net::HttpResponse scrape(const MetricRegistry& registry, std::string_view accept) {
  const Format format = negotiate(accept);
  net::HttpResponse response;
  response.body = exposition(registry, format);
  response.content_type = content_type(format);
  return response;
}

std::vector<std::string> naming_problems(const MetricRegistry& registry) {
  std::vector<std::string> problems;
  for (const MetricRegistry::Family& family : registry.families()) {
    const std::string& name = family.name;
    const bool counter = family.kind == MetricRegistry::Kind::kCounter;
    if (valid_name(name, false) != name) problems.push_back(name + ": not a metric name");
    if (family.help.empty()) problems.push_back(name + ": no help");
    if (!counter && name.ends_with("_total"))
      problems.push_back(name + ": only counters are _total");
    if (counter && !name.ends_with("_total"))
      problems.push_back(name + ": a counter ends in _total");
    if (family.kind == MetricRegistry::Kind::kLatency && !name.ends_with("_seconds"))
      problems.push_back(name + ": a latency ends in _seconds");
    for (const MetricRegistry::Sample& sample : family.samples)
      for (const auto& [label, value] : sample.labels)
        if (valid_name(label, false) != label || label == "le")
          problems.push_back(name + ": label '" + label + "' is not allowed");
  }
  return problems;
}

}  // namespace qw::monitor::prometheus
