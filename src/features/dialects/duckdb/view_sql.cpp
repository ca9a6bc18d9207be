#include <fmt/format.h>

#include "features/dialects/duckdb/sql.h"
#include "features/kernels/kernel.h"

namespace qw::features::duckdb {
namespace {

SqlTerm term_of(const Feature& feature, const View& view) {
  const Aggregate& aggregate = view.aggregates()[feature.aggregate];
  SqlTerm term{
      aggregate,  "e.seq", "", type_name(aggregate.type), view.windows()[feature.window].length_us,
      feature.nth};
  if (aggregate.argument) term.x = fmt::format("e.a{}", aggregate.argument_slot + 1);
  const bool is_double =
      aggregate.argument && aggregate.argument->type().kind == schema::Kind::kDouble;
  term.number = term.x + (is_double ? "" : "::double");
  return term;
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
    const Aggregate& aggregate = view.aggregates()[feature.aggregate];
    text += fmt::format(",\n    -- {}.{} is {}\n    {} as {}", view.name(), feature.name,
                        one_line(view.definition().aggregates[feature.aggregate].text),
                        aggregate.kernel->duckdb(term_of(feature, view)), quoted(feature.name));
    if (tables.with_bounds && feature.parity == ParityClass::kFloat)
      text += fmt::format(",\n    {} as {}", aggregate.kernel->duckdb_bound(term_of(feature, view)),
                          quoted(feature.name + "__bound"));
  }
  text += fmt::format("\n  from {} s\n  left join counted e\n    on ", quoted(tables.spine));
  for (const std::string& key : view.definition().key)
    text += fmt::format("e.{0} = s.{0} and ", quoted(key));
  text += fmt::format(
      "{}\n    and (e.event_time < s.event_time or (e.event_time = s.event_time and (s.seq is null"
      "\n      or e.partition < s.partition or (e.partition = s.partition and e.seq {} s.seq))))"
      "\n    and (s.known is null or e.seq <= map_extract(s.known, e.partition)[1])"
      "\n  group by s.row_id, s.event_time\n)",
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
