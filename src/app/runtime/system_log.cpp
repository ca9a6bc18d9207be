#include "app/runtime/system_log.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace qw::app {
namespace {

constexpr const char* kMeta = "system/state";  // "running" from a start to its stop

}  // namespace

void SystemLog::tell(const char* phase, const std::string& title, const std::string& detail) {
  const std::lock_guard lock(committer_.mutex());
  journal_.append(committer_.open(), "system",
                  nlohmann::json{{"phase", phase}, {"title", title}, {"detail", detail}});
}

Result<void> SystemLog::started(uint64_t to_replay) {
  QW_ASSIGN(const auto before, store_.get_meta(kMeta));
  std::string detail;
  if (before && *before == "running")
    detail = fmt::format("it was killed before; {} records are replayed", to_replay);
  else if (!before)
    detail = "for the first time on this data folder";
  tell("started", fmt::format("'{}' started", plan_.file.app.text), detail);
  const std::lock_guard lock(committer_.mutex());
  committer_.open().txn.put_meta(kMeta, "running");
  started_ = true;
  return {};
}

void SystemLog::stopped(const std::string& why) {
  if (!started_) return;
  tell("stopped", fmt::format("'{}' stopped", plan_.file.app.text), why);
  const std::lock_guard lock(committer_.mutex());
  committer_.open().txn.put_meta(kMeta, "stopped");
}

void SystemLog::look(size_t source, const streams::SourceStatus& status) {
  const std::string& name = plan_.sources[source].name;
  const bool fails = status.state == streams::SourceState::kWaiting && status.trouble;
  if (fails && failed_.insert(source).second)
    tell("source_failed", fmt::format("Source '{}' fails", name), status.trouble->to_string());
  const bool begins_or_ends = status.state == streams::SourceState::kStarting ||
                              status.state == streams::SourceState::kClosed;
  if (!fails && !begins_or_ends && failed_.erase(source) > 0)
    tell("source_recovered", fmt::format("Source '{}' works again", name), "");
}

void SystemLog::look(const Committer::Status& status) {
  const bool full = status.state == CommitState::kDiskFull || status.state == CommitState::kFailing;
  if (full == disk_full_) return;
  disk_full_ = full;
  if (full)
    tell("disk_full", "The disk takes no records: intake pauses", status.message);
  else
    tell("disk_ok", "The disk takes records again", "");
}

}  // namespace qw::app
