#include "features/parity/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/env.h"

namespace qw::features {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kStart = 1'700'000'000 * kSecond;

std::shared_ptr<const schema::Schema> source_schema() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"k", schema::kString},
                                 {"x", schema::kDouble},
                                 {"i", schema::kInt64},
                                 {"p", {schema::Kind::kDecimal, 9, 2}},
                                 {"s", schema::kString},
                                 {"b", schema::kBool}});
}

template <size_t N>
std::string_view pick(Random& random, const std::string_view (&choices)[N]) {
  return choices[random.below(N)];
}

schema::Value maybe(Random& random, schema::Value value) {
  if (random.below(8) == 0) return {};
  return value;
}

double some_double(Random& random) {
  switch (random.below(6)) {
    case 0: return 0.1 * static_cast<double>(random.below(10));
    case 1: return -0.0;
    case 2: return (random.uniform() - 0.5) * 1e6;
    case 3: return static_cast<double>(random.below(5));
    case 4: return random.below(20) == 0 ? std::numeric_limits<double>::quiet_NaN() : 1e9 + 0.25;
    default: return random.uniform() * 100;
  }
}

int64_t some_int(Random& random) {
  if (random.below(40) == 0) return std::numeric_limits<int64_t>::max() - 1;
  return static_cast<int64_t>(random.below(21)) - 10;
}

std::vector<schema::Value> some_row(Random& random, std::string key) {
  std::vector<schema::Value> row(6);
  row[0] = std::move(key);
  row[1] = maybe(random, some_double(random));
  row[2] = maybe(random, some_int(random));
  row[3] = maybe(random, static_cast<int64_t>(random.below(100'000)) - 50'000);
  row[4] = maybe(random, std::string(1, static_cast<char>('a' + random.below(5))));
  row[5] = maybe(random, static_cast<int64_t>(random.below(2)));
  return row;
}

// Facts as ingest would decide them: a watermark per partition, lateness against it.
class Facts {
 public:
  explicit Facts(int64_t lateness_us) : lateness_us_(lateness_us) {}
  schema::EventFacts next(uint32_t partition, int64_t time, bool duplicate) {
    schema::EventFacts facts;
    facts.partition = PartitionId{partition};
    facts.seq = Seq{++seqs_[partition]};
    facts.event_time = EventTime{time};
    facts.known_at = KnownAt{kStart + ++arrived_ * 1'000};
    int64_t& newest =
        newest_.try_emplace(partition, std::numeric_limits<int64_t>::min() / 2).first->second;
    if (duplicate)
      facts.status = schema::EventStatus::kDuplicate;
    else if (time < newest - lateness_us_)
      facts.status = schema::EventStatus::kLateDropped;
    else if (time < newest)
      facts.status = schema::EventStatus::kLateRepaired;
    if (!duplicate) newest = std::max(newest, time);
    return facts;
  }

 private:
  int64_t lateness_us_;
  int64_t arrived_ = 0;
  std::map<uint32_t, uint64_t> seqs_;
  std::map<uint32_t, int64_t> newest_;
};

std::string random_argument(Random& random, std::string_view function) {
  constexpr std::string_view kNumbers[] = {"x",
                                           "i",
                                           "p",
                                           "x * 2 - i",
                                           "abs(p)",
                                           "case when b then x end",
                                           "coalesce(i, 0)",
                                           "i % 3",
                                           "p + 0.5",
                                           "x / nullif(i, 0)",
                                           "least(x, i)"};
  constexpr std::string_view kAny[] = {"s", "b", "x", "i", "p", "case when i > 0 then s end"};
  if (function == "sum" || function == "mean" || function == "variance" || function == "stddev" ||
      function == "quantile")
    return std::string(pick(random, kNumbers));
  return std::string(pick(random, kAny));
}

AggregateDefinition random_aggregate(Random& random, size_t index) {
  constexpr std::string_view kFunctions[] = {"count",  "count_distinct", "sum",    "mean",  "min",
                                             "max",    "variance",       "stddev", "first", "last",
                                             "last_k", "quantile",       "rate"};
  const std::string_view function = pick(random, kFunctions);
  std::string text = random_argument(random, function);
  if (function == "last_k") text += ", 3";
  if (function == "quantile") text += fmt::format(", 0.{}", random.below(10));
  text = fmt::format("{}({})", function, text);
  if ((function == "first" || function == "last") && random.below(2) == 0) text += " max_age 4s";
  return {fmt::format("a{}", index), text};
}

schema::Value some_value(Random& random, const schema::Field& field) {
  switch (field.type.kind) {
    case schema::Kind::kBool: return static_cast<int64_t>(random.below(2));
    case schema::Kind::kInt64: return some_int(random);
    case schema::Kind::kDouble: return some_double(random);
    case schema::Kind::kDecimal: {
      int64_t most = 1;
      for (int digit = 0; digit < std::min<int>(field.type.precision, 6); ++digit) most *= 10;
      return static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * most - 1))) - (most - 1);
    }
    case schema::Kind::kTimestamp:
      return kStart + static_cast<int64_t>(random.below(600)) * kSecond;
    default: return std::string(1, static_cast<char>('a' + random.below(5)));
  }
}

// `key` columns take few values and are seldom null, so that every key has a history.
std::vector<schema::Value> row_of(Random& random, const schema::Schema& schema,
                                  const std::vector<size_t>& key) {
  std::vector<schema::Value> row(schema.size());
  for (size_t column = 0; column < schema.size(); ++column) {
    const schema::Field& field = schema.field(column);
    const bool is_key = std::ranges::find(key, column) != key.end();
    row[column] = some_value(random, field);
    if (field.nullable && random.below(is_key ? 100 : 8) == 0) row[column] = schema::Value{};
  }
  return row;
}

}  // namespace

void read_at(Scenario& scenario, size_t event, const KnownVector& known) {
  const schema::EventFacts& facts = scenario.events.facts[event];
  Read read;
  for (const size_t column : scenario.view->key_columns())
    read.key.push_back(scenario.events.rows.column(column).value_at(event));
  if (!facts.counts() || std::ranges::any_of(read.key, schema::is_null)) return;
  read.partition = facts.partition;
  read.point = {facts.event_time, facts.seq};
  read.known = known;
  read.event = event;
  scenario.reads.push_back(std::move(read));
}

Result<Scenario> make_generated(const ViewDefinition& view,
                                const std::vector<DeriveDefinition>& derived,
                                std::shared_ptr<const schema::Schema> source,
                                const std::string& event_time, int64_t allowed_lateness_us,
                                uint64_t seed, size_t events,
                                const std::vector<ViewDefinition>& also) {
  QW_ASSIGN(Scenario scenario, make_scenario(view, derived, source, allowed_lateness_us, also));
  scenario.name = fmt::format("{}, generated", view.name);
  int64_t widest_us = 0;
  int64_t narrowest_us = std::numeric_limits<int64_t>::max();
  for (const Window& window : scenario.view->windows()) {
    widest_us = std::max(widest_us, window.reach_us());
    narrowest_us = std::min(narrowest_us, window.length_us);
  }
  const auto time_column = source->index_of(event_time);
  Random random(seed);
  Facts facts(allowed_lateness_us);
  Arrivals arrivals;
  int64_t now = kStart;
  for (size_t e = 0; e < events; ++e) {
    // Mostly steps that put several events into the narrowest window, also onto its edge; now and
    // then one that leaves it.
    const bool leap = random.below(50) == 0;
    const int64_t step_us = leap ? widest_us / 10 : narrowest_us / 4;
    now += static_cast<int64_t>(random.below(3)) * step_us;
    int64_t time = now;
    if (random.below(5) == 0 && allowed_lateness_us > 0)
      time -= static_cast<int64_t>(random.below(3)) * allowed_lateness_us / 2;
    if (random.below(50) == 0) time -= allowed_lateness_us + 1;
    std::vector<schema::Value> row = row_of(random, *source, scenario.view->key_columns());
    if (time_column) row[*time_column] = time;
    scenario.events.rows.append_row(row);
    scenario.events.facts.push_back(
        facts.next(static_cast<uint32_t>(random.below(2)), time, random.below(25) == 0));
    arrivals.take(scenario.events.facts.back());
    read_at(scenario, e, arrivals.known());
  }
  return scenario;
}

Result<Scenario> make_fixture(uint64_t seed, size_t events) {
  const ViewDefinition view{"fix",
                            "fixture",
                            {"k"},
                            {"10s", "5m", "1h/10m"},
                            {{"n", "count()"},
                             {"nx", "count(x)"},
                             {"who", "count_distinct(s)"},
                             {"sum", "sum(x)"},
                             {"isum", "sum(i)"},
                             {"psum", "sum(p)"},
                             {"avg", "mean(x)"},
                             {"lo", "min(s)"},
                             {"hi", "max(x)"},
                             {"var", "variance(x)"},
                             {"sd", "stddev(p)"},
                             {"old", "first(i)"},
                             {"new", "last(p) max_age 1m"},
                             {"recent", "last_k(i, 3)"},
                             {"p95", "quantile(x, 0.95)"},
                             {"pace", "rate()"}}};
  QW_ASSIGN(Scenario scenario,
            make_scenario(view,
                          {{"ratio", "x / nullif(fix.sum_5m, 0)"},
                           {"busy", "fix.n_10s > 3 and coalesce(ratio, 0) < 0.5"},
                           {"logged", "ln(abs(fix.avg_5m) + 1)"}},
                          source_schema(), 30 * kSecond));
  scenario.name = fmt::format("fixture (seed {})", seed);
  Random random(seed);
  Facts facts(30 * kSecond);
  Arrivals arrivals;
  uint64_t steadies = 0;
  int64_t now = kStart;
  for (size_t e = 0; e < events; ++e) {
    now += static_cast<int64_t>(random.below(3)) * 200'000;
    const bool steady = random.below(3) == 0;
    std::vector<schema::Value> row =
        some_row(random, steady ? "steady" : fmt::format("key{}", random.below(12)));
    // Beside 1e16 a plain sum rounds every 0.9 away, more of them than its class allows.
    if (steady) row[1] = steadies++ % 100 != 0 ? 0.9 : steadies % 200 == 1 ? 1e16 : -1e16;
    if (random.below(100) == 0) row[0] = schema::Value{};
    int64_t time = now;
    if (random.below(5) == 0) time -= static_cast<int64_t>(random.below(45)) * kSecond;
    scenario.events.rows.append_row(row);
    scenario.events.facts.push_back(facts.next(steady ? 0 : static_cast<uint32_t>(random.below(2)),
                                               time, random.below(25) == 0));
    arrivals.take(scenario.events.facts.back());
    read_at(scenario, e, arrivals.known());
  }
  return scenario;
}

Result<Scenario> make_random_scenario(uint64_t seed) {
  Random random(seed);
  constexpr std::string_view kWindows[] = {"1s", "3s", "10s", "10s/3s", "7s/7s", "1m/10s", "2us"};
  ViewDefinition view{"r", "random", {"k"}, {}, {}};
  for (size_t w = 0; w < 1 + random.below(3); ++w) {
    const std::string window(pick(random, kWindows));
    if (std::ranges::find(view.windows, window) == view.windows.end())
      view.windows.push_back(window);
  }
  for (size_t a = 0; a < 1 + random.below(4); ++a)
    view.aggregates.push_back(random_aggregate(random, a));
  view.exclude_current = random.below(4) == 0;
  std::vector<DeriveDefinition> derived;
  if (random.below(2) == 0)
    derived = {{"d1", "case when x > i then x - i when s = 'a' then 0 end"},
               {"d2", "d1 is null or not b or i between -3 and 3"}};
  const auto lateness = static_cast<int64_t>(random.below(20)) * kSecond;
  QW_ASSIGN(Scenario scenario, make_scenario(view, derived, source_schema(), lateness));
  scenario.name = fmt::format("random (seed {})", seed);
  Facts facts(lateness);
  Arrivals arrivals;
  const bool several = random.below(2) == 0;  // partitions
  const int64_t origin = random.below(3) == 0 ? -20 * kSecond : kStart;
  for (size_t e = 0; e < 5 + random.below(40); ++e) {
    int64_t time = origin + static_cast<int64_t>(random.below(30)) * kSecond;
    if (random.below(4) == 0) time += static_cast<int64_t>(random.below(3)) - 1;
    scenario.events.rows.append_row(some_row(random, fmt::format("k{}", random.below(2))));
    const auto partition = several ? static_cast<uint32_t>(random.below(3)) : 0;
    scenario.events.facts.push_back(facts.next(partition, time, random.below(10) == 0));
    arrivals.take(scenario.events.facts.back());
    read_at(scenario, e, arrivals.known());
  }
  for (const int64_t after : {int64_t{30}, int64_t{33}, int64_t{41}}) {
    Read read;
    read.key = {std::string("k0")};
    read.point.event_time = EventTime{origin + after * kSecond};
    scenario.reads.push_back(std::move(read));
  }
  return scenario;
}

Scenario reduced(const Scenario& scenario, const std::vector<bool>& keep_events,
                 const std::vector<bool>& keep_reads) {
  Scenario small = scenario;
  small.events.rows.clear();
  small.events.facts.clear();
  small.reads.clear();
  std::vector<size_t> place(keep_events.size());
  for (size_t e = 0; e < keep_events.size(); ++e) {
    place[e] = small.events.facts.size();
    if (!keep_events[e]) continue;
    small.events.rows.append_row_from(scenario.events.rows, e);
    small.events.facts.push_back(scenario.events.facts[e]);
  }
  for (size_t r = 0; r < keep_reads.size(); ++r) {
    if (!keep_reads[r]) continue;
    small.reads.push_back(scenario.reads[r]);
    std::optional<size_t>& event = small.reads.back().event;
    if (event) event = keep_events[*event] ? std::optional(place[*event]) : std::nullopt;
  }
  return small;
}

}  // namespace qw::features
