#include "store/commit/meta_names.h"

#include <fmt/format.h>

#include <charconv>

#include "base/result.h"
#include "store/segments/segment.h"

namespace qw::store::meta {
namespace {

constexpr std::string_view kOfViews = "view/";  // how the owner of a view's states begins

template <class... Parts>
std::string joined(std::string_view first, const Parts&... parts) {
  std::string name(first);
  (name.append(parts), ...);
  return name;
}

std::string number_of(PartitionId partition) { return std::to_string(partition.value()); }
std::string hex_of(uint64_t number) { return fmt::format("{:016x}", number); }

// What follows the prefix, by which the name was found.
std::string_view behind(std::string_view prefix, std::string_view name) {
  QW_ASSERT(name.starts_with(prefix));
  return name.substr(prefix.size());
}

std::optional<uint32_t> whole_number(std::string_view text) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

std::string partition(std::string_view name) { return joined(kPartition, name); }
std::string_view parse_partition(std::string_view name) { return behind(kPartition, name); }

std::string positions_of(std::string_view source) { return joined(kPosition, source, "/"); }
std::string position(std::string_view source, uint32_t number) {
  return positions_of(source) + std::to_string(number);
}
std::optional<uint32_t> parse_position(std::string_view name) {
  return whole_number(name.substr(name.rfind('/') + 1));
}

std::string gate(std::string_view source) { return joined(kGate, source, "/"); }
std::string gate_partition(std::string_view source, PartitionId partition) {
  return joined(gate(source), kGatePartition, number_of(partition));
}
std::string gate_chunk(std::string_view prefix, uint64_t number) {
  return joined(prefix, kGateChunk, hex_of(number));
}
std::string gate_run(std::string_view prefix, uint64_t number) {
  return joined(prefix, kGateRun, hex_of(number));
}
std::string gate_seen(std::string_view prefix, uint64_t number) {
  return joined(prefix, kGateSeen, hex_of(number), "/");
}

std::string gap(PartitionId partition) { return joined(kGap, number_of(partition)); }
std::string hole(Log log, PartitionId partition) {
  return joined(kHole, name_of(log), "/", number_of(partition));
}
// Fixed width: the store's order is the order of seqs.
std::string segments_of(Log log, PartitionId partition) {
  return fmt::format("{}{}/{:010}/", kSegment, name_of(log), partition.value());
}
std::string segment(Log log, PartitionId partition, Seq from) {
  return fmt::format("{}{:020}", segments_of(log, partition), from.value());
}
std::string segment_dropped(std::string_view file) { return joined(kSegmentDropped, file); }
std::string_view parse_segment_dropped(std::string_view name) {
  return behind(kSegmentDropped, name);
}
std::string spool(uint64_t id) { return joined(kSpool, hex_of(id)); }
std::string row_schema(uint64_t id) { return joined(kRowSchema, hex_of(id)); }
std::string decision_schema(uint64_t id) { return joined(kDecisionSchema, hex_of(id)); }

std::string low_waters_of(std::string_view owner) { return joined(kLowWater, owner, "/"); }
std::string low_waters_of_views() { return joined(kLowWater, kOfViews); }
std::string low_water(std::string_view owner, PartitionId partition) {
  return low_waters_of(owner) + number_of(partition);
}
std::optional<LowWater> parse_low_water(std::string_view name) {
  if (!name.starts_with(kLowWater)) return std::nullopt;
  name.remove_prefix(kLowWater.size());
  const size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto partition = whole_number(name.substr(slash + 1));
  if (!partition) return std::nullopt;
  return LowWater{name.substr(0, slash), PartitionId{*partition}};
}

std::string definition(std::string_view owner) { return joined(kDefinition, owner); }
std::string lost(std::string_view owner, PartitionId partition) {
  return joined(kLost, owner, "/", number_of(partition));
}
std::string unused(std::string_view owner) { return joined(kUnused, owner); }
std::string serving(std::string_view registry_name) { return joined(kServing, registry_name); }
std::string drift(std::string_view decision) { return joined(kDrift, decision); }

std::string alerts_of(std::string_view decision) { return joined(kAlert, decision, "/"); }
std::string alert(std::string_view decision, PartitionId stream, std::string_view key) {
  return joined(alerts_of(decision), number_of(stream), "/", key);
}
std::string audiences_of(std::string_view decision) { return joined(kAudience, decision, "/"); }
std::string audience(std::string_view decision, PartitionId stream, std::string_view key) {
  return joined(audiences_of(decision), number_of(stream), "/", key);
}
std::optional<OfSeries> parse_series(std::string_view prefix, std::string_view name) {
  const std::string_view rest = behind(prefix, name);
  const size_t slash = rest.find('/');  // a key may hold some of its own
  if (slash == std::string_view::npos) return std::nullopt;
  const auto stream = whole_number(rest.substr(0, slash));
  if (!stream) return std::nullopt;
  return OfSeries{PartitionId{*stream}, rest.substr(slash + 1)};
}

std::string heal(std::string_view name) { return joined(kHeal, name); }
std::string heal_job(std::string_view action_id) { return joined(kHealJob, action_id); }
std::string outbox_state(std::string_view sink) { return joined(kOutbox, sink, kOutboxState); }
std::string outbox_tries(std::string_view sink) { return joined(kOutbox, sink, kOutboxTries); }

}  // namespace qw::store::meta
