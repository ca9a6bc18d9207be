#include "streams/connectors/kafka/place.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/bytes.h"

namespace qw::streams::kafka {
namespace {

constexpr std::string_view kMark = "kafka1";
constexpr std::string_view kUnknown = "-";

// "OFFSET BASE TIMESTAMP HASH", the last two "-" where the record is not known.
std::string numbers(const Place& place) {
  std::string text = fmt::format("{} {} ", place.offset, place.base);
  if (!place.last) return text + "- -";
  return text + fmt::format("{} {:016x}", place.last->timestamp_ms, place.last->hash);
}

std::string marked(const std::string& body) {
  return fmt::format("{} {:016x} {}", kMark, checksum64(body), body);
}

std::string_view word(std::string_view& rest) {
  const size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view found = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return found;
}

template <class Number>
bool read(std::string_view text, Number& number, int base = 10) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size() && !text.empty();
}

// What encode() and encode_metadata() wrote; nothing where it is damaged or of somebody else.
std::optional<Place> parse_marked(std::string_view text) {
  uint64_t checksum = 0;
  if (word(text) != kMark || !read(word(text), checksum, 16) || checksum64(text) != checksum)
    return std::nullopt;
  Place place;
  if (!read(word(text), place.offset) || !read(word(text), place.base)) return std::nullopt;
  const std::string_view time = word(text), hash = word(text);
  Print print;
  if (time != kUnknown) {
    if (!read(time, print.timestamp_ms) || !read(hash, print.hash, 16)) return std::nullopt;
    place.last = print;
  }
  place.topic = text;
  if (place.offset < 0 || place.base < 0) return std::nullopt;
  return place;
}

}  // namespace

std::string encode(const Place& place) { return marked(numbers(place) + " " + place.topic); }

Result<Place> parse_place(std::string_view text) {
  if (const auto place = parse_marked(text)) return *place;
  Place bare;
  if (read(text, bare.offset) && bare.offset >= 0) return bare;
  return Error{ErrorCode::kCorrupt, "the saved offset is damaged", "",
               "restore the data folder from a copy"};
}

std::string encode_metadata(const Place& place) { return marked(numbers(place)); }

Place parse_metadata(int64_t offset, std::string_view metadata) {
  if (const auto place = parse_marked(metadata); place && place->offset == offset) return *place;
  Place bare;
  bare.offset = offset;
  return bare;
}

std::string describe(const Begin& begin, const std::optional<Place>& kept,
                     const std::string& partition) {
  switch (begin.why) {
    case Why::kAsKept:
    case Why::kFresh: return "";
    case Why::kOtherTopic:
      return fmt::format("{}: the saved place is of the topic '{}' and is not used", partition,
                         kept ? kept->topic : "");
    case Why::kRetention:
      return fmt::format(
          "{}: {} records were removed before they were read (the topic keeps them for less than "
          "this was away or behind); it goes on at the oldest",
          partition, begin.missed);
    case Why::kMadeAnew:
      return fmt::format(
          "{} was made anew, or lost its newest records: what is there at the saved place {} is "
          "not what was read; it is read from its oldest record on",
          partition, kept ? kept->offset : begin.at.base);
  }
  return "";
}

std::string describe_rebuild(const Rebuild& rebuild, const std::string& topic, uint32_t partition) {
  return fmt::format(
      "{}[{}]: others of the group decided up to record {}; {} records are read again for what is "
      "remembered of them",
      topic, partition, rebuild.to, rebuild.to - rebuild.from);
}

Begin made_anew(const Place& place, const Range& range) {
  Begin begin;
  begin.why = Why::kMadeAnew;
  begin.at.base = place.position();
  begin.at.offset = range.low;
  begin.missed = range.low;
  begin.gap = range.low > 0;
  begin.groups = place.position();
  begin.next_owner = begin.at;
  return begin;
}

namespace {

// Others went on from our place, or from where we never were. An offset that no member of ours
// told has no record beside it: there the group begins, and before it is nothing to remember.
void remember_others(const Known& known, const std::optional<Place>& ours, Begin& begin) {
  if (!ours && !begin.at.last) return;
  const bool same = ours && ours->base == begin.at.base;
  const int64_t wanted = same ? ours->offset : 0;
  const Rebuild rebuild{std::max(wanted, known.range.low), begin.at.offset};
  begin.gap = wanted < rebuild.from || (ours && !same);
  if (rebuild.from < rebuild.to) begin.rebuild = rebuild;
}

}  // namespace

void shorten(Begin& begin, int64_t earliest, int64_t most) {
  if (!begin.rebuild) return;
  Rebuild& rebuild = *begin.rebuild;
  const int64_t from = std::min(rebuild.to, std::max({rebuild.from, earliest, rebuild.to - most}));
  begin.gap = begin.gap || from > rebuild.from;
  rebuild.from = from;
  if (rebuild.from == rebuild.to) begin.rebuild.reset();
}

Begin begin_at(const Known& known, const std::string& topic, Start start) {
  Begin begin;
  begin.at.topic = topic;
  std::optional<Place> ours = known.ours;
  int64_t base = 0;
  if (ours && !ours->topic.empty() && ours->topic != topic) {
    begin.why = Why::kOtherTopic;
    base = ours->position();
    ours.reset();
  }
  std::optional<Place> from = known.groups;
  // An offset that another program set says nothing of our positions.
  if (from && from->base == 0 && ours) from->base = ours->base;
  if (from) from->base = std::max(from->base, base);
  if (from) begin.groups = from->position();
  // Ours may lie behind what is not delivered yet.
  begin.next_owner = from ? *from : Place{known.range.low, ours ? ours->base : base, {}, ""};
  const bool others = from && (!ours || ours->position() < from->position());
  if (ours && !others) from = ours;
  if (!from) {
    if (begin.why != Why::kOtherTopic) begin.why = Why::kFresh;
    begin.at.base = base;
    begin.at.offset = start == Start::kLatest && known.first ? known.range.high : known.range.low;
    begin.next_owner = begin.at;
    return begin;
  }
  if (from->offset > known.range.high) {
    begin = made_anew(*from, known.range);
    begin.at.topic = topic;
    begin.gap = begin.gap || others;
    return begin;
  }
  begin.at.base = from->base;
  if (from->offset < known.range.low) {
    begin.why = Why::kRetention;
    begin.missed = known.range.low - from->offset;
    begin.at.offset = known.range.low;
    begin.gap = true;
    begin.next_owner = begin.at;
    return begin;
  }
  begin.at.offset = from->offset;
  begin.at.last = from->last;
  begin.verify = from->last && from->offset > known.range.low;
  if (others) remember_others(known, ours, begin);
  return begin;
}

}  // namespace qw::streams::kafka
