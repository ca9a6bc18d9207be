// Which logs are rolled into segments, and how their records look to a person's SQL.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/runtime/plan.h"
#include "base/result.h"
#include "schema/batch.h"
#include "store/store.h"

namespace qw::app {

// One partition of a log with its columns. A value; the plan outlives it.
struct RolledLog {
  store::Log log = store::Log::kEvents;
  PartitionId partition;
  std::string view;  // in SQL: "decisions", "events_metrics", "dead_letters", "journal"
  std::shared_ptr<const schema::Schema> columns;
  // The cells of a record, in the order of `columns`. What was written under an older definition of
  // the application has nulls where it does not fit; the record itself is kept whole beside them.
  std::function<Result<std::vector<schema::Value>>(std::string_view record)> cells;
};

// Of every partition that was ever used, as far as it is durable: events of the plan's sources,
// decisions of its decisions, the journal and the dead letters.
Result<std::vector<RolledLog>> rolled_logs(const Plan& plan, const store::Store& store);

// When a record was written, by the wall clock. kCorrupt for one that cannot be read.
Result<int64_t> written_us(store::Log log, std::string_view record);

// The statements that make views over exactly the files of the manifest, for DuckDB in that folder
// (or with it as file_search_path). A log without a segment is a view without rows.
Result<std::string> segment_views(const Plan& plan, const store::Store& store);

}  // namespace qw::app
