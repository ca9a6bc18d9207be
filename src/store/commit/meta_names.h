// The names of the store's meta rows: every one of them, once. A new row gets its line here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "store/store.h"

// Data folders hold these names: they never change. A name that ends in '/' goes on as its comment
// says, and the functions below build it. The value is text where nothing else is said; "sealed" is
// a record of its own kind and version (base/bytes.h).
namespace qw::store::meta {

// ---- the log and its places
// + "SOURCE/3" or "DECISION@SOURCE/3": the number of that partition. Partitions.
constexpr std::string_view kPartition = "partition/";
// + SOURCE/3: where the source goes on; bytes of its own. Pipeline.
constexpr std::string_view kPosition = "position/";
// + SOURCE/ and one of the four parts below. Gate.
constexpr std::string_view kGate = "gate/";
constexpr std::string_view kGatePartition = "p/";  // + PARTITION: watermark and last seq; sealed
constexpr std::string_view kGateChunk = "ids/";    // + 16 hex: ids of one commit; sealed. SeenIds
constexpr std::string_view kGateRun = "run/";      // + 16 hex: what the run holds; sealed. SeenIds
constexpr std::string_view kGateSeen = "seen/";    // + 16 hex/ + 16 bytes: when it came. SeenIds
// + PARTITION: the time of the first event behind a gap. Pipeline.
constexpr std::string_view kGap = "gap/";
// + LOG/PARTITION: behind the last record that was given up with its segment. check_segments().
constexpr std::string_view kHole = "hole/";
// + LOG/PARTITION, 10 digits/FIRST SEQ, 20 digits: one row of the manifest; sealed. add_segment().
constexpr std::string_view kSegment = "segment/";
// + FILE: nothing; the file may be removed. drop_segment().
constexpr std::string_view kSegmentDropped = "segment-dropped/";
// + 16 hex: the number of the last frame that is committed. Spool.
constexpr std::string_view kSpool = "spool/";
// + 16 hex: the schema of that id; encoded. stage_schema().
constexpr std::string_view kRowSchema = "schema/rows/";
constexpr std::string_view kDecisionSchema = "schema/decision/";

// ---- states, by their owner ("view/NAME@HASH", "model/DECISION/MODEL@VERSION")
// + OWNER/PARTITION: up to this seq every state is on disk. Pipeline.
constexpr std::string_view kLowWater = "low_water/";
// + OWNER: what the model was when its states were made. Pipeline.
constexpr std::string_view kDefinition = "definition/";
// + OWNER/PARTITION: up to this event time the view lacks events. Pipeline.
constexpr std::string_view kLost = "lost/";
// + OWNER: for how many seconds no plan has named it. Pipeline.
constexpr std::string_view kUnused = "unused/";
// + MODEL, as the registry calls it: the version that serves. Rollout.
constexpr std::string_view kServing = "serving/";
// + DECISION: the watch over its scores; sealed. Monitors.
constexpr std::string_view kDrift = "drift/";

// ---- alerts, healing, delivery
// + DECISION/STREAM/KEY: the state of its alert; sealed. Alerting.
constexpr std::string_view kAlert = "alert/";
// + DECISION/STREAM/KEY: who was told of it; sealed. AlertAudience.
constexpr std::string_view kAudience = "audience/";
// + HEAL: the state of the healing action; sealed. Healers.
constexpr std::string_view kHeal = "heal/";
// + ACTION ID: a command that waits or runs; sealed. Healers.
constexpr std::string_view kHealJob = "heal_job/";
// + SINK and one of the two endings below. OutboxWorker.
constexpr std::string_view kOutbox = "outbox/";
constexpr std::string_view kOutboxState = "/state";  // what the sink keeps; bytes of its own
constexpr std::string_view kOutboxTries = "/tries";  // of the row that fails; sealed

// ---- the program itself; these names are whole
constexpr std::string_view kAppFile = "system/app_file";    // its path. remember_app_file()
constexpr std::string_view kState = "system/state";         // "running", "stopped". SystemLog
constexpr std::string_view kRunClock = "clock/run";         // the time of alerts; sealed. RunClock
constexpr std::string_view kClockTrust = "clock/believed";  // what ClockTrust saves. Roller

// `name`: "SOURCE/3" or "DECISION@SOURCE/3".
std::string partition(std::string_view name);
std::string_view parse_partition(std::string_view name);

std::string positions_of(std::string_view source);
std::string position(std::string_view source, uint32_t number);
std::optional<uint32_t> parse_position(std::string_view name);

std::string gate(std::string_view source);  // before each of the four
std::string gate_partition(std::string_view source, PartitionId partition);
// `prefix`: what gate() gave.
std::string gate_chunk(std::string_view prefix, uint64_t number);
std::string gate_run(std::string_view prefix, uint64_t number);
std::string gate_seen(std::string_view prefix, uint64_t number);

std::string gap(PartitionId partition);
std::string hole(Log log, PartitionId partition);
std::string segments_of(Log log, PartitionId partition);
std::string segment(Log log, PartitionId partition, Seq from);  // rising with `from`
std::string segment_dropped(std::string_view file);
std::string_view parse_segment_dropped(std::string_view name);
std::string spool(uint64_t id);
std::string row_schema(uint64_t id);
std::string decision_schema(uint64_t id);

// Whose states reach how far where: a name taken apart.
struct LowWater {
  std::string_view owner;  // in the name
  PartitionId partition;
};
std::string low_waters_of(std::string_view owner);
std::string low_waters_of_views();
std::string low_water(std::string_view owner, PartitionId partition);
// Nothing: it is no such name.
std::optional<LowWater> parse_low_water(std::string_view name);

std::string definition(std::string_view owner);
std::string lost(std::string_view owner, PartitionId partition);
std::string unused(std::string_view owner);
std::string serving(std::string_view registry_name);
std::string drift(std::string_view decision);

// A series of a decision: a name of kAlert or kAudience taken apart.
struct OfSeries {
  PartitionId stream;
  std::string_view key;  // in the name
};
std::string alerts_of(std::string_view decision);
std::string alert(std::string_view decision, PartitionId stream, std::string_view key);
std::string audiences_of(std::string_view decision);
std::string audience(std::string_view decision, PartitionId stream, std::string_view key);
// `prefix`: what alerts_of() or audiences_of() gave, by which the name was found. Nothing: what
// follows is no number and key.
std::optional<OfSeries> parse_series(std::string_view prefix, std::string_view name);

std::string heal(std::string_view name);
std::string heal_job(std::string_view action_id);
std::string outbox_state(std::string_view sink);
std::string outbox_tries(std::string_view sink);

}  // namespace qw::store::meta
