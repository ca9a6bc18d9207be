// Aim: any scrape is valid for real readers, and its numbers are the registry's.
// Method: a small strict parser of our own reads back every line; promtool judges the same text
// (skipped visibly where it is absent, an error in CI).
#include "monitor/exporters/prometheus/exposition.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <thread>

#include "monitor/actions/command.h"

namespace qw::monitor::prometheus {
namespace {

struct Parsed {
  std::map<std::string, std::string> types;    // family -> type
  std::map<std::string, std::string> samples;  // name{a="b"} with unescaped values -> number
  std::vector<std::pair<std::string, std::string>> order;
  std::string error;
};

Parsed failed(std::string why) {
  Parsed parsed;
  parsed.error = std::move(why);
  return parsed;
}

// Reads `name="value",...}` from after the brace; returns the position after it, or npos.
size_t parse_labels(const std::string& line, size_t at, std::string& out) {
  while (at < line.size() && line[at] != '}') {
    const size_t equals = line.find("=\"", at);
    if (equals == std::string::npos) return equals;
    out += line.substr(at, equals - at) + "=";
    for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
      if (line[at] != '\\') {
        out += line[at];
        continue;
      }
      ++at;
      if (line[at] == 'n')
        out += '\n';
      else if (line[at] == '\\' || line[at] == '"')
        out += line[at];
      else
        return std::string::npos;
    }
    if (at >= line.size()) return std::string::npos;
    ++at;
    if (line[at] == ',') {
      ++at;
      out += '|';
    }
  }
  return at < line.size() ? at + 1 : std::string::npos;
}

Parsed parse(const std::string& text) {
  Parsed parsed;
  if (!text.empty() && text.back() != '\n') parsed.error = "no newline at the end";
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with("# TYPE ")) {
      const size_t space = line.find(' ', 7);
      const auto [it, added] =
          parsed.types.emplace(line.substr(7, space - 7), line.substr(space + 1));
      if (!added) parsed.error = "two types: " + line;
      continue;
    }
    if (line.starts_with("# HELP ") || line == "# EOF") continue;
    size_t at = line.find_first_of("{ ");
    if (at == std::string::npos || at == 0) return failed("no name: " + line);
    std::string key = line.substr(0, at);
    if (line[at] == '{') {
      key += "{";
      at = parse_labels(line, at + 1, key);
      if (at == std::string::npos) return failed("bad labels: " + line);
      key += "}";
    }
    if (line[at] != ' ') return failed("no space: " + line);
    const std::string value = line.substr(at + 1);
    if (!parsed.samples.emplace(key, value).second) parsed.error = "twice: " + line;
    parsed.order.emplace_back(key, value);
  }
  return parsed;
}

void fill(MetricRegistry& registry) {
  registry.counter("quickwater_events_total", "Events read", {{"source", "machine"}}).add(41);
  registry.counter("quickwater_events_total", "Events read", {{"source", "b"}}).add(2);
  registry.gauge("quickwater_watermark_age_seconds", "Age of the watermark").set(1.5);
  registry
      .gauge("quickwater_process_cpu_ratio", "By name",
             {{"name", "a \"b\" \\ c\nd"}, {"user", "caf\xC3\xA9 \xFF\xC3"}})
      .set(std::numeric_limits<double>::infinity());
  registry.gauge("quickwater_lag_events", "Back\\slash and\nnewline").set(-3);
  auto& stage = registry.latency("quickwater_stage_duration_seconds", "Time in a stage",
                                 {{"stage", "computed"}});
  for (const double ns : {500.0, 1000.0, 1001.0, 2000.0, 1e6, 3e9})
    stage.record_ns(static_cast<int64_t>(ns));
  stage.record_ns(2'000'000'000'000);  // 33 min: only in +Inf
}

TEST(PrometheusExposition, EveryNumberIsReadBack) {
  MetricRegistry registry;
  fill(registry);
  const Parsed parsed = parse(exposition(registry, Format::kText));
  ASSERT_EQ(parsed.error, "");
  const auto& samples = parsed.samples;
  EXPECT_EQ(samples.at("quickwater_events_total{source=machine}"), "41");
  EXPECT_EQ(samples.at("quickwater_events_total{source=b}"), "2");
  EXPECT_EQ(samples.at("quickwater_watermark_age_seconds"), "1.5");
  EXPECT_EQ(samples.at("quickwater_lag_events"), "-3");
  EXPECT_EQ(parsed.types.at("quickwater_events_total"), "counter");
  EXPECT_EQ(parsed.types.at("quickwater_stage_duration_seconds"), "histogram");
  EXPECT_EQ(samples.at("quickwater_process_cpu_ratio{name=a \"b\" \\ c\nd|user=caf\xC3\xA9 "
                       "\xEF\xBF\xBD\xEF\xBF\xBD}"),
            "+Inf");
}

TEST(PrometheusExposition, HistogramsAreExactAtTheirBounds) {
  MetricRegistry registry;
  fill(registry);
  const Parsed parsed = parse(exposition(registry, Format::kText));
  const auto bucket = [&](const std::string& le) {
    return parsed.samples.at("quickwater_stage_duration_seconds_bucket{stage=computed|le=" + le +
                             "}");
  };
  EXPECT_EQ(bucket("1e-06"), "2") << "500 ns and exactly 1 us";
  EXPECT_EQ(bucket("2e-06"), "4") << "1.001 us and exactly 2 us";
  EXPECT_EQ(bucket("0.000512"), "4");
  EXPECT_EQ(bucket("0.001024"), "5");
  EXPECT_EQ(bucket("4.194304"), "6");
  EXPECT_EQ(bucket("536.870912"), "6");
  EXPECT_EQ(bucket("+Inf"), "7");
  EXPECT_EQ(parsed.samples.at("quickwater_stage_duration_seconds_count{stage=computed}"), "7");
  EXPECT_NEAR(std::stod(parsed.samples.at("quickwater_stage_duration_seconds_sum{stage=computed}")),
              2003.001004501, 1e-6);
}

// What three processes say adds up to what one would say that had seen it all: the sum over
// replicas that histogram_quantile works on.
TEST(PrometheusExposition, HistogramsOfManyProcessesAddUp) {
  MetricRegistry processes[3];
  MetricRegistry whole;
  const auto stage = [](MetricRegistry& registry) -> LatencyHistogram& {
    return registry.latency("quickwater_stage_latency_seconds", "h", {{"stage", "computed"}});
  };
  uint64_t state = 1;
  for (int i = 0; i < 3000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const auto ns = static_cast<int64_t>(1ull << (state >> 59)) + static_cast<int64_t>(state % 97);
    stage(processes[i % 3]).record_ns(ns);
    stage(whole).record_ns(ns);
  }
  const Parsed expected = parse(exposition(whole, Format::kText));
  Parsed parts[3];
  for (int i = 0; i < 3; ++i) parts[i] = parse(exposition(processes[i], Format::kText));
  double before = 0;
  size_t buckets = 0;
  for (const auto& [sample, value] : expected.order) {
    double sum = 0;
    for (const Parsed& part : parts) {
      ASSERT_TRUE(part.samples.contains(sample)) << sample << " is not in every process";
      sum += std::stod(part.samples.at(sample));
    }
    ASSERT_NEAR(sum, std::stod(value), 1e-9 * sum) << sample;
    if (sample.find("_bucket") == std::string::npos) continue;
    ++buckets;
    ASSERT_GE(sum, before) << "buckets are cumulative: " << sample;
    before = sum;
  }
  EXPECT_EQ(before, 3000) << "the last bucket, +Inf, holds all";
  EXPECT_EQ(buckets, bucket_bounds_us().size() + 1);
}

TEST(PrometheusExposition, OpenMetricsNamesFamiliesAndEnds) {
  MetricRegistry registry;
  fill(registry);
  const std::string text = exposition(registry, Format::kOpenMetrics);
  EXPECT_TRUE(text.ends_with("# EOF\n"));
  const Parsed parsed = parse(text);
  ASSERT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.types.at("quickwater_events"), "counter");
  EXPECT_EQ(parsed.samples.at("quickwater_events_total{source=b}"), "2");
}

TEST(PrometheusExposition, ConsistentWhileItMoves) {
  MetricRegistry registry;
  auto& stage = registry.latency("quickwater_stage_duration_seconds", "Time in a stage");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int64_t ns = 1; !stop; ns = ns * 7 % 1'000'000'007) stage.record_ns(ns);
  });
  for (int round = 0; round < 200; ++round) {
    const Parsed parsed = parse(exposition(registry, Format::kText));
    uint64_t before = 0;
    uint64_t infinite = 0;
    for (const auto& [key, value] : parsed.order) {
      if (!key.starts_with("quickwater_stage_duration_seconds_bucket")) continue;
      infinite = std::stoull(value);
      ASSERT_GE(infinite, before) << key;
      before = infinite;
    }
    ASSERT_EQ(parsed.samples.at("quickwater_stage_duration_seconds_count"),
              std::to_string(infinite));
  }
  stop = true;
  writer.join();
}

TEST(PrometheusExposition, TheScraperChooses) {
  EXPECT_EQ(negotiate(""), Format::kText);
  EXPECT_EQ(negotiate("*/*"), Format::kText);
  EXPECT_EQ(negotiate("text/plain;version=0.0.4"), Format::kText);
  EXPECT_EQ(negotiate("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                      "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
            Format::kOpenMetrics)
      << "as Prometheus 2.42 asks";
  EXPECT_EQ(negotiate("text/plain, application/openmetrics-text;q=0.3"), Format::kText);
  EXPECT_EQ(negotiate("application/openmetrics-text;q=0"), Format::kText);
  MetricRegistry registry;
  fill(registry);
  const net::HttpResponse response = scrape(registry, "application/openmetrics-text");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

TEST(PrometheusExposition, NamingProblemsAreFound) {
  MetricRegistry good;
  fill(good);
  EXPECT_TRUE(naming_problems(good).empty());
  MetricRegistry bad;
  bad.gauge("quickwater_open_total", "A gauge that poses as a counter");
  bad.counter("quickwater_read_bytes", "A counter without its ending", {{"le", "x"}});
  bad.latency("quickwater_wait_events", "");
  EXPECT_EQ(naming_problems(bad).size(), 5u);
}

// What promtool says of the text, which it reads from standard input. 127: there is no promtool.
CommandReport promtool(const std::string& text) {
  const std::string path = ::testing::TempDir() + "quickwater_exposition_" +
                           std::to_string(std::hash<std::string>{}(text)) + ".txt";
  std::ofstream(path) << text;
  const CommandReport report = run_command(
      {"/bin/sh", "-c", "exec promtool check metrics < \"$0\"", path}, {}, {}, real_clock());
  std::remove(path.c_str());
  return report;
}

TEST(PrometheusExposition, PromtoolAgrees) {
  MetricRegistry registry;
  fill(registry);
  const CommandReport said = promtool(exposition(registry, Format::kText));
  if (said.exit_code == 127) {
    if (std::getenv("CI") != nullptr) FAIL() << "promtool is not installed (apt: prometheus)";
    GTEST_SKIP() << "promtool is not installed (apt: prometheus)";
  }
  EXPECT_TRUE(said.ok()) << said.out << said.err << said.message;
  EXPECT_FALSE(promtool("# TYPE a counter\na{b=\"c} 1\n").ok()) << "the judge must be awake";
}

}  // namespace
}  // namespace qw::monitor::prometheus
