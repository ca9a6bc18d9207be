#include "streams/connectors/file/line_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/crash_watch.h"
#include "base/time_text.h"
#include "schema/stored_record.h"
#include "streams/gate.h"

namespace qw::streams::file {
namespace {

constexpr uint8_t kStateKind = 44, kVersion = 2;
constexpr std::string_view kTimeField = "ts";

Error bad(std::string message, std::string mend = "") {
  return {ErrorCode::kBadInput, std::move(message), "counts", std::move(mend)};
}

Error refused(std::string reason) { return {ErrorCode::kBadInput, std::move(reason), "", ""}; }

// The fields of the pattern, as match() numbers them.
std::optional<size_t> field_of(const TextPattern& pattern, std::string_view name) {
  for (size_t i = 0; i < pattern.parts().size(); ++i)
    if (pattern.parts()[i].field == name) return i;
  return std::nullopt;
}

}  // namespace

std::shared_ptr<const schema::Schema> counts_schema() {
  using schema::Field;
  static const auto schema = std::make_shared<const schema::Schema>(std::vector<Field>{
      Field{"series", schema::kString, false}, Field{"metric", schema::kString, false},
      Field{"value", schema::kDouble, false}, Field{"ts", schema::kTimestamp, false}});
  return schema;
}

Result<LineCounter> LineCounter::make(const Counts& counts, const DecodeOptions& decode) {
  if (counts.interval_us < 1) return bad("the interval is not above 0");
  if (counts.counters.empty()) return bad("there is no counter", "name at least one");
  QW_ASSIGN(TimeParser times, TimeParser::make(decode.time_form, decode.zone));
  LineCounter made(std::move(times));
  QW_ASSIGN(made.pattern_, TextPattern::parse(decode.pattern));
  made.counts_ = counts;
  made.max_bytes_ = decode.max_record_bytes;
  const auto time = field_of(made.pattern_, kTimeField);
  if (!time)
    return bad("the pattern has no field 'ts', the time of a line", "write {ts} into the pattern");
  made.time_field_ = *time;
  std::set<std::string> metrics;
  for (const Counts::Counter& written : counts.counters) {
    Counter counter{written.metric, std::nullopt, written.equals, 1};
    if (!metrics.insert(written.metric).second)
      return bad(fmt::format("the metric '{}' is counted twice", written.metric));
    if (!written.field.empty()) {
      counter.field = field_of(made.pattern_, written.field);
      if (!counter.field)
        return bad(fmt::format("the pattern has no field '{}'", written.field),
                   "name a field of text.pattern");
    }
    if (written.per_second) counter.per = static_cast<double>(counts.interval_us) / 1e6;
    made.counters_.push_back(std::move(counter));
  }
  return made;
}

// The least multiple of the interval at or above the time.
int64_t LineCounter::end_of(int64_t time_us) const {
  const int64_t over = time_us % counts_.interval_us;
  if (over == 0) return time_us;
  return time_us - over + (over > 0 ? counts_.interval_us : 0);
}

Result<void> LineCounter::add(std::string_view line, int64_t now_us) {
  if (is_quarantined(line)) return refused(std::string(kCrashedBefore));
  const WorkMark mark("decode", line);
  return count(line, now_us);
}

Result<void> LineCounter::count(std::string_view line, int64_t now_us) {
  if (line.size() > max_bytes_) return refused("the line is longer than max_record_bytes");
  QW_TRY(pattern_.match(line, fields_));
  const auto time = times_.parse(fields_[time_field_]);
  if (!time.ok()) return refused(fmt::format("field 'ts': {}", time.error().message));
  if (*time < kMinEventTimeUs || *time > kMaxEventTimeUs)
    return refused(fmt::format("the time {} of the line is absurd", *time));
  if (now_us != INT64_MAX && *time - now_us > counts_.max_future_us)
    return refused(fmt::format("the line is {} s ahead of the clock; max_future is {} s",
                               (*time - now_us) / 1'000'000, counts_.max_future_us / 1'000'000));
  const int64_t end_us = end_of(*time);
  const int64_t closed_before_us = closed_to_us();
  watermark_.pass(*time, now_us, now_us != INT64_MAX, counts_.lateness_us);
  // A line at exactly the end is of the interval, and others of that time may follow.
  const int64_t passed_us = watermark_.value_us() - counts_.lateness_us - 1;
  believed_to_us_ =
      end_of(passed_us) == passed_us ? passed_us : end_of(passed_us) - counts_.interval_us;
  if (watermark_.settled()) closed_to_us_ = std::max(closed_to_us_, believed_to_us_);
  // A line closes others than its own; the first ones may be taken back.
  if (end_us <= std::min(closed_before_us, closed_to_us()))
    return refused(fmt::format("too late: the interval that ended at {} is counted already",
                               format_time(end_us)));
  quiet_since_us_ = now_us;
  auto& counts = open_.try_emplace(end_us, counters_.size()).first->second;
  for (size_t i = 0; i < counters_.size(); ++i)
    if (!counters_[i].field || fields_[*counters_[i].field] == counters_[i].equals) ++counts[i];
  return {};
}

bool LineCounter::emit(const std::string& series, schema::Batch& out) {
  if (next_end_us_ == INT64_MIN || (!open_.empty() && open_.begin()->first < next_end_us_)) {
    if (open_.empty()) return false;
    next_end_us_ = open_.begin()->first;
  }
  const int64_t far_us = kMostEmpty * counts_.interval_us;
  if (!open_.empty() && open_.begin()->first - next_end_us_ > far_us)
    next_end_us_ = open_.begin()->first;
  if (next_end_us_ > closed_to_us()) return false;
  const auto found = open_.find(next_end_us_);
  for (size_t i = 0; i < counters_.size(); ++i) {
    const double lines = found == open_.end() ? 0 : static_cast<double>(found->second[i]);
    out.append_row({series, counters_[i].metric, lines / counters_[i].per, next_end_us_});
    ++rows_;
  }
  if (found != open_.end()) open_.erase(found);
  next_end_us_ += counts_.interval_us;
  return true;
}

void LineCounter::finish() {
  if (!open_.empty()) closed_to_us_ = std::max(closed_to_us_, open_.rbegin()->first);
}

void LineCounter::idle(int64_t now_us) {
  if (next_end_us_ == INT64_MIN && open_.empty()) return;
  const int64_t patience_us = counts_.lateness_us + counts_.interval_us;
  const int64_t passed_us = now_us - patience_us;
  const int64_t to_us = end_of(passed_us) - counts_.interval_us;
  const int64_t last_us = open_.empty() ? next_end_us_ : open_.rbegin()->first;
  if (to_us - last_us > kMostEmpty * counts_.interval_us) {
    quiet_since_us_ = std::min(quiet_since_us_, now_us);
    if (now_us - quiet_since_us_ >= patience_us) finish();
    return;
  }
  closed_to_us_ = std::max(closed_to_us_, to_us);
}

uint64_t LineCounter::definition() const {
  std::string text = std::to_string(counts_.interval_us);
  for (const Counter& counter : counters_)
    text += '\x1f' + counter.metric + '\x1e' + counter.equals;
  return checksum64(text);
}

std::string LineCounter::state() const {
  std::string body, sealed;
  ByteWriter writer(body);
  writer.u64(definition());
  writer.i64(next_end_us_);
  writer.i64(closed_to_us_);
  writer.u64(rows_);
  writer.varint(open_.size());
  for (const auto& [end_us, counts] : open_) {
    writer.i64(end_us);
    for (const uint64_t lines : counts) writer.varint(lines);
  }
  watermark_.write(writer);
  seal_record(kStateKind, kVersion, body, sealed);
  return sealed;
}

Result<void> LineCounter::restore(std::string_view state) {
  if (state.empty()) return {};
  constexpr std::string_view kWhat = "the saved state of the counts";
  auto opened = schema::open_stored(state, kStateKind, kVersion, kWhat);
  const bool first_version = !opened.ok();  // it had no watermark
  if (first_version) opened = schema::open_stored(state, kStateKind, 1, kWhat);
  QW_ASSIGN(ByteReader reader, std::move(opened));
  const uint64_t definition_then = reader.u64();
  const int64_t next_end_us = reader.i64(), closed_to_us = reader.i64();
  const uint64_t rows = reader.u64();
  if (!reader.ok()) return schema::damaged_record(kWhat);
  rows_ = rows;  // numbers go on in any case
  if (definition_then != definition()) return {};
  std::map<int64_t, std::vector<uint64_t>> open;
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
    auto& counts = open[reader.i64()];
    for (size_t i = 0; i < counters_.size(); ++i) counts.push_back(reader.varint());
  }
  Watermark watermark;
  if (!first_version)
    watermark.read(reader);
  else if (closed_to_us != INT64_MIN)
    watermark = Watermark::settled_at(closed_to_us + counts_.lateness_us);
  if (!reader.done()) return schema::damaged_record(kWhat);
  watermark_ = watermark;
  open_ = std::move(open);
  next_end_us_ = next_end_us;
  closed_to_us_ = closed_to_us;
  return {};
}

}  // namespace qw::streams::file
