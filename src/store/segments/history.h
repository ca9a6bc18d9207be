// A log from its beginning: what lies in segments, then what the database still holds.
#pragma once

#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/segments/parquet.h"
#include "store/segments/segment.h"
#include "store/store.h"

namespace qw::store {

// Reads a log wherever its records are: the manifest's segments, then the tail, never a glob of
// files. Each record comes once, also when segments are rolled or removed meanwhile; what retention
// removed is left out. Does not own the store. Make one for each use (it costs nothing until a
// segment is read); one thread at a time. Errors: as Store and SegmentReader; kExhausted for a
// segment that is more than DuckDB's memory takes.
class History {
 public:
  explicit History(const Store& store) : store_(store), reader_(store.folder()) {}

  // As Store::scan.
  Result<void> scan(Log log, PartitionId partition, Seq from, Seq to,
                    const Store::RecordVisitor& visit);
  // The records with these seqs (rising); those that are not kept are left out.
  Result<void> read(Log log, PartitionId partition, const std::vector<Seq>& seqs,
                    const Store::RecordVisitor& visit);
  // As Store::scan_back.
  Result<void> scan_back(Log log, PartitionId partition, Seq before, size_t count,
                         const Store::RecordVisitor& visit);

 private:
  // The segments that hold something of [from, to); moves `from` behind them. False: the visitor
  // has enough.
  Result<bool> scan_segments(const std::vector<Segment>& segments, Seq& from, Seq to,
                             const Store::RecordVisitor& visit);
  Result<bool> scan_segment(const Segment& segment, Seq from, Seq to,
                            const Store::RecordVisitor& visit);

  const Store& store_;
  SegmentReader reader_;
};

}  // namespace qw::store
