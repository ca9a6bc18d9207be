#include <fmt/format.h>

#include "features/dialects/duckdb/sql.h"

namespace qw::features::duckdb {
namespace {

using schema::Kind;

std::string argument_of(const Aggregate& aggregate) {
  return fmt::format("e.a{}", aggregate.argument_slot + 1);
}

bool is_double(const Aggregate& aggregate) {
  return aggregate.argument && aggregate.argument->type().kind == Kind::kDouble;
}

std::string number_of(const Aggregate& aggregate) {
  return argument_of(aggregate) + (is_double(aggregate) ? "" : "::double");
}

// first and last: the value, unless the event that has it is too old.
std::string edge_value(const Aggregate& aggregate) {
  const std::string x = argument_of(aggregate);
  const bool newest = aggregate.kind == AggregateKind::kLast;
  const std::string value =
      fmt::format("{}({} order by e.event_time, e.seq) filter (where {} is not null)",
                  newest ? "last" : "first", x, x);
  if (aggregate.max_age_us == 0) return value;
  return fmt::format(
      "case when s.event_time - {}(e.event_time) filter (where {} is not null) < {}\n"
      "         then {} end",
      newest ? "max" : "min", x, aggregate.max_age_us, value);
}

std::string sum_of(const Aggregate& aggregate) {
  const std::string x = argument_of(aggregate);
  if (is_double(aggregate)) return fmt::format("qw_sum({})", x);
  return fmt::format("try_cast(sum({}) as {})", x, type_name(aggregate.type));
}

std::string rate_of(const Aggregate& aggregate, const Window& window) {
  return fmt::format("nullif(count({}), 0)::double * 1e6 / {}e0",
                     aggregate.argument ? argument_of(aggregate) : "e.seq", window.length_us);
}

std::string value_of_feature(const Feature& feature, const View& view) {
  const Aggregate& aggregate = view.aggregates()[feature.aggregate];
  const std::string x = aggregate.argument ? argument_of(aggregate) : "e.seq";
  switch (aggregate.kind) {
    case AggregateKind::kCount: return fmt::format("count({})", x);
    case AggregateKind::kCountDistinct: return fmt::format("count(distinct {})", x);
    case AggregateKind::kSum: return sum_of(aggregate);
    case AggregateKind::kMean:
      return fmt::format("{}({})", is_double(aggregate) ? "qw_mean" : "avg", x);
    case AggregateKind::kMin: return fmt::format("min({})", x);
    case AggregateKind::kMax: return fmt::format("max({})", x);
    case AggregateKind::kVariance: return fmt::format("qw_variance({})", number_of(aggregate));
    case AggregateKind::kStddev: return fmt::format("qw_stddev({})", number_of(aggregate));
    case AggregateKind::kFirst:
    case AggregateKind::kLast: return edge_value(aggregate);
    case AggregateKind::kLastK:
      return fmt::format(
          "(list({0} order by e.event_time desc, e.seq desc) filter (where {0} is not null))[{1}]",
          x, feature.nth);
    case AggregateKind::kQuantile:
      return fmt::format("qw_quantile({}, {})", number_of(aggregate), aggregate.quantile);
    case AggregateKind::kRate: return rate_of(aggregate, view.windows()[feature.window]);
  }
  return "null";
}

// docs/reference/semantics.md, parity classes.
std::string bound_of(const Feature& feature, const View& view) {
  const Aggregate& aggregate = view.aggregates()[feature.aggregate];
  if (aggregate.kind == AggregateKind::kRate)
    return "8 * qw_eps() * " + rate_of(aggregate, view.windows()[feature.window]);
  const std::string x = number_of(aggregate);
  switch (aggregate.kind) {
    case AggregateKind::kSum: return fmt::format("sum(8 * qw_eps() * abs({}))", x);
    case AggregateKind::kMean: return fmt::format("avg(8 * qw_eps() * abs({}))", x);
    case AggregateKind::kVariance: return fmt::format("qw_variance_bound({})", x);
    case AggregateKind::kStddev: return fmt::format("qw_stddev_bound({})", x);
    default: return fmt::format("8 * qw_eps() * max(abs({}))", x);
  }
}

std::string counted(const View& view, const ViewQuery& tables) {
  std::string text = "-- what counts: decided at ingest, and it has a key\ncounted as (\n  select ";
  std::string keys_present;
  for (const std::string& key : view.definition().key) {
    text += quoted(key) + ", ";
    keys_present += fmt::format(" and {} is not null", quoted(key));
  }
  text += "partition, event_time, seq";
  for (size_t i = 0; i < view.arguments().size(); ++i)
    text += fmt::format(",\n    -- {}\n    {} as a{}", one_line(view.arguments()[i].text()),
                        expression(view.arguments()[i]), i + 1);
  return text + fmt::format("\n  from {}\n  where status in ('ok', 'late_repaired'){}\n)",
                            quoted(tables.events), keys_present);
}

std::string window_start(const Window& window) {
  if (window.step_us == 0) return fmt::format("e.event_time > s.event_time - {}", window.length_us);
  return fmt::format("e.event_time >= qw_floor(s.event_time - {}, {})", window.length_us,
                     window.step_us);
}

std::string window_cte(const View& view, size_t window, const ViewQuery& tables) {
  std::string text = fmt::format(",\n-- the window {}\nw{} as (\n  select s.row_id",
                                 view.windows()[window].to_string(), window + 1);
  for (const Feature& feature : view.features()) {
    if (feature.window != window) continue;
    text += fmt::format(",\n    -- {}.{} is {}\n    {} as {}", view.name(), feature.name,
                        one_line(view.definition().aggregates[feature.aggregate].text),
                        value_of_feature(feature, view), quoted(feature.name));
    if (tables.with_bounds && feature.parity == ParityClass::kFloat)
      text +=
          fmt::format(",\n    {} as {}", bound_of(feature, view), quoted(feature.name + "__bound"));
  }
  text += fmt::format("\n  from {} s\n  left join counted e\n    on e.partition = s.partition",
                      quoted(tables.spine));
  for (const std::string& key : view.definition().key)
    text += fmt::format(" and e.{0} = s.{0}", quoted(key));
  text += fmt::format(
      "\n    and {}\n    and (e.event_time < s.event_time or"
      " (e.event_time = s.event_time and e.seq {} s.seq))\n    and e.seq <= s.known\n"
      "  group by s.row_id, s.event_time\n)",
      window_start(view.windows()[window]), view.definition().exclude_current ? "<" : "<=");
  return text;
}

}  // namespace

std::string view_query(const View& view, const ViewQuery& tables) {
  std::string keys;
  for (const std::string& key : view.definition().key)
    keys += (keys.empty() ? "" : ", ") + one_line(key);
  std::string text = fmt::format("-- View {} of {}, by {}.\nwith\n", view.name(),
                                 one_line(view.definition().source), keys);
  text += counted(view, tables);
  for (size_t w = 0; w < view.windows().size(); ++w) text += window_cte(view, w, tables);
  text += fmt::format("\nselect s.row_id");
  for (const Feature& feature : view.features()) {
    text += fmt::format(",\n  w{}.{}", feature.window + 1, quoted(feature.name));
    if (tables.with_bounds && feature.parity == ParityClass::kFloat)
      text += fmt::format(", w{}.{}", feature.window + 1, quoted(feature.name + "__bound"));
  }
  text += fmt::format("\nfrom {} s", quoted(tables.spine));
  for (size_t w = 0; w < view.windows().size(); ++w)
    text += fmt::format("\njoin w{0} on w{0}.row_id = s.row_id", w + 1);
  return text + "\norder by s.row_id\n";
}

}  // namespace qw::features::duckdb
