// Which logs are rolled into segments, and how their records look to a person's SQL.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "schema/batch.h"
#include "store/store.h"

namespace qw::app {

// A record as a person's SQL sees it: its columns, by the schema that it was written under, and
// their cells. Records of one schema share their columns. A value.
struct RolledRow {
  std::shared_ptr<const schema::Schema> columns;
  std::vector<schema::Value> cells;
};

// One partition of a log. A value; the plan and the store outlive it. One thread at a time.
struct RolledLog {
  store::Log log = store::Log::kEvents;
  PartitionId partition;
  std::string view;  // in SQL: "decisions", "events_metrics", "dead_letters", "journal"
  // Of what is written now; null for what the application no longer has.
  std::shared_ptr<const schema::Schema> columns;
  std::function<Result<RolledRow>(std::string_view record)> row;
};

// How SQL calls the columns of a source's events: ours, then the source's, in their order.
std::shared_ptr<const schema::Schema> event_columns(const schema::Schema& source);
// No rows, but every column: `select ... where false`.
std::string empty_rows(const schema::Schema& columns);

// Of every partition that was ever used, as far as it is durable: events, decisions (also of
// sources and decisions that the plan no longer has), the journal and the dead letters.
Result<std::vector<RolledLog>> rolled_logs(const Plan& plan, const store::Store& store);

// When a record was written, by the wall clock. kCorrupt for one that cannot be read.
Result<int64_t> written_us(store::Log log, std::string_view record);

// The statements that make views over exactly the files of the manifest, for DuckDB in that folder
// (or with it as file_search_path). A log without a segment is a view without rows. `more`: files
// beside the manifest's, by view.
using ViewFiles = std::map<std::string, std::vector<std::string>>;
Result<std::string> segment_views(const Plan& plan, const store::Store& store,
                                  const ViewFiles& more = {});

}  // namespace qw::app
