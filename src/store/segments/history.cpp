#include "store/segments/history.h"

#include <algorithm>
#include <utility>

namespace qw::store {

// Retention erases the row first and the file later: a file that is gone while its row is there is
// damage.
Result<bool> History::scan_segment(const Segment& segment, Seq from, Seq to,
                                   const Store::RecordVisitor& visit) {
  const auto wants_more = reader_.scan(segment, from, to, visit);
  if (wants_more.ok() || wants_more.error().code != ErrorCode::kNotFound) return wants_more;
  QW_ASSIGN(const auto now, segments_of(store_, segment.log, segment.partition));
  if (std::find(now.begin(), now.end(), segment) == now.end()) return true;
  Error missing = wants_more.error();
  missing.code = ErrorCode::kCorrupt;
  missing.how_to_mend = kMendDamage;
  return missing;
}

Result<bool> History::scan_segments(const std::vector<Segment>& segments, Seq& from, Seq to,
                                    const Store::RecordVisitor& visit) {
  for (const Segment& segment : segments) {
    if (segment.to <= from || segment.from >= to) continue;
    QW_ASSIGN(const bool wants_more, scan_segment(segment, from, to, visit));
    if (!wants_more) return false;
    from = segment.to;
  }
  return true;
}

// A roll may happen between reading the manifest and reading the tail. The tail says, of the same
// moment as its records, where it begins: when that is later than wanted, the manifest is read
// again. It has the segment then, because both change in one commit; or retention removed it since.
Result<void> History::scan(Log log, PartitionId partition, Seq from, Seq to,
                           const Store::RecordVisitor& visit) {
  from = std::max(from, Seq{1});
  while (from < to) {
    const Seq before = from;
    QW_ASSIGN(const auto segments, segments_of(store_, log, partition));
    QW_ASSIGN(const bool wants_more, scan_segments(segments, from, to, visit));
    if (!wants_more || from >= to) return {};
    QW_ASSIGN(const Seq begin, store_.scan_tail(log, partition, from, to, visit));
    if (begin <= from) return {};
    QW_ASSIGN(const auto rolled, segments_of(store_, log, partition));
    const bool listed = std::any_of(rolled.begin(), rolled.end(), [&](const Segment& s) {
      return s.to > from && s.from < to;  // not listed before: all that was is behind `from`
    });
    if (!listed) from = begin;
    QW_ASSERT(listed || from > before);
  }
  return {};
}

Result<void> History::read(Log log, PartitionId partition, const std::vector<Seq>& seqs,
                           const Store::RecordVisitor& visit) {
  // Neighbours are read in one pass; far ones each by themselves, which skips most of a file.
  constexpr uint64_t kNear = 4096;
  for (size_t begin = 0; begin < seqs.size();) {
    size_t end = begin + 1;
    while (end < seqs.size() && seqs[end].value() - seqs[end - 1].value() < kNear) ++end;
    bool wants_more = true;
    QW_TRY(scan(log, partition, seqs[begin], next(seqs[end - 1]),
                [&](Seq seq, std::string_view record) {
                  if (!std::binary_search(seqs.begin() + static_cast<ptrdiff_t>(begin),
                                          seqs.begin() + static_cast<ptrdiff_t>(end), seq))
                    return true;
                  wants_more = visit(seq, record);
                  return wants_more;
                }));
    if (!wants_more) return {};
    begin = end;
  }
  return {};
}

// The tail first: what a roll takes from it meanwhile is then in a segment below what was seen.
Result<void> History::scan_back(Log log, PartitionId partition, Seq before, size_t count,
                                const Store::RecordVisitor& visit) {
  bool wants_more = true;
  QW_TRY(store_.scan_back(log, partition, before, count, [&](Seq seq, std::string_view record) {
    before = seq;
    --count;
    wants_more = visit(seq, record);
    return wants_more;
  }));
  if (!wants_more || count == 0) return {};
  QW_ASSIGN(const auto segments, segments_of(store_, log, partition));
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->from >= before) continue;
    std::vector<std::pair<Seq, std::string>> newest;  // a ring would save memory, not much
    QW_TRY(scan_segment(*segment, segment->from, before, [&](Seq seq, std::string_view record) {
      newest.emplace_back(seq, record);
      return true;
    }));
    for (auto record = newest.rbegin(); record != newest.rend(); ++record) {
      if (count == 0 || !visit(record->first, record->second)) return {};
      --count;
    }
    before = segment->from;
  }
  return {};
}

}  // namespace qw::store
