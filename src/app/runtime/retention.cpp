#include "app/runtime/retention.h"

#include <algorithm>
#include <map>
#include <utility>

#include "app/runtime/clock_trust.h"

namespace qw::app {
namespace {

using store::Log;
using store::Segment;

const Retention& retention_of(const RetentionSettings& settings, Log log) {
  switch (log) {
    case Log::kEvents: return settings.events;
    case Log::kDecisions: return settings.decisions;
    case Log::kJournal: return settings.journal;
    case Log::kDeadLetters: break;
  }
  return settings.dead_letters;
}

}  // namespace

Retained retained(std::vector<Segment> segments, const RetentionSettings& settings, int64_t now_us,
                  bool believed) {
  Retained answer;
  std::map<std::pair<Log, PartitionId>, int64_t> newest;
  std::map<Log, uint64_t> bytes;
  for (Segment& segment : segments) {
    bytes[segment.log] += segment.bytes;
    segment.dated = segment.dated && segment.rolled_us <= now_us + ClockTrust::kStepUs;
    if (!segment.dated) answer.undated.push_back(segment);
    // What an undated one says counts for nothing, in either direction.
    int64_t& newest_us =
        newest.try_emplace({segment.log, segment.partition}, INT64_MIN).first->second;
    if (segment.dated) newest_us = std::max(newest_us, segment.rolled_us);
    segment.rolled_us = newest_us;
  }
  std::stable_sort(segments.begin(), segments.end(), [](const Segment& one, const Segment& other) {
    return one.rolled_us < other.rolled_us;
  });
  for (const Segment& segment : segments) {
    const Retention& kept = retention_of(settings, segment.log);
    const bool old = believed && segment.dated && now_us - segment.rolled_us > kept.max_age_us;
    if (!old && bytes[segment.log] <= static_cast<uint64_t>(kept.max_size_bytes)) continue;
    bytes[segment.log] -= segment.bytes;
    answer.gone.push_back(segment);
  }
  return answer;
}

}  // namespace qw::app
