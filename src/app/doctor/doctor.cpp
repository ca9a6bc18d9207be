#include "app/doctor/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>

#include "base/files.h"
#include "base/metrics.h"
#include "models/package.h"
#include "models/registry.h"
#include "store/segments/listing.h"
#include "store/segments/segment.h"
#include "store/store.h"

namespace qw::app {
namespace {

namespace fs = std::filesystem;

Finding finding_of(const std::string& part, const Error& error) {
  const bool missing = error.code == ErrorCode::kNotFound ||
                       error.message.find("missing") != std::string::npos ||
                       error.message.find("gone") != std::string::npos;
  // The machine refused: nobody knows.
  const bool unread = error.code == ErrorCode::kIo || error.code == ErrorCode::kExhausted ||
                      error.code == ErrorCode::kUnavailable;
  const Health health = unread ? Health::kUnread : missing ? Health::kMissing : Health::kDamaged;
  return {health, error.where.empty() ? part : error.where, error.message, error.how_to_mend};
}

// Gathers what is found of one folder.
class Examination {
 public:
  explicit Examination(std::string folder) : folder_(std::move(folder)) {}

  std::vector<Finding> run() {
    examine_database();
    examine_segments();
    examine_views();
    examine_registry();
    examine_packages();
    note_lost();
    return std::move(found_);
  }

 private:
  void note(Health health, const std::string& part, const std::string& detail) {
    found_.push_back({health, part, detail, ""});
  }
  void blame(const std::string& part, const Error& error) {
    found_.push_back(finding_of(part, error));
  }

  // FORMAT, the database's log and its tables.
  void examine_database() {
    store::StoreOptions options;
    options.folder = folder_;
    options.read_only = true;
    auto opened = store::Store::open(options, metrics_);
    if (opened.ok()) {
      store_ = std::move(opened).value();
      const auto whole = store_->verify();
      if (!whole.ok()) return blame("database", whole.error());
      return note(Health::kWhole, "database", "its log and its tables");
    }
    if (opened.error().code == ErrorCode::kConflict)
      return note(Health::kNote, "database",
                  opened.error().message + ": not examined, stop it for that");
    if (opened.error().code == ErrorCode::kNotFound)
      return note(Health::kNote, "database", "nothing ran on this folder yet");
    blame("database", opened.error());
  }

  void examine_segments() {
    if (!store_) return;
    const auto segments = store::all_segments(*store_);
    if (!segments.ok()) return blame("segments", segments.error());
    size_t whole = 0, unsealed = 0;
    std::set<std::string> named{std::string(store::kViewsFile)};
    for (const store::Segment& segment : *segments) {
      named.insert(segment.file());
      const std::string path = store::segment_folder(folder_) + "/" + segment.file();
      auto checked = store::verify_segment(folder_, segment);
      std::error_code gone;
      const uint64_t bytes = fs::file_size(path, gone);
      if (gone)
        checked = Error{ErrorCode::kNotFound, "a segment is missing", path, store::kMendDamage};
      else if (checked.ok() && bytes != segment.bytes)
        checked =
            Error{ErrorCode::kCorrupt,
                  fmt::format("a segment has {} bytes, {} were written", bytes, segment.bytes),
                  path, store::kMendDamage};
      if (!checked.ok()) {
        blame("segments", checked.error());
        found_.back().detail += fmt::format(" (records {} to {} of {})", segment.from.value(),
                                            segment.to.value() - 1, store::name_of(segment.log));
        continue;
      }
      ++whole;
      unsealed += segment.checksum == 0 ? 1 : 0;
    }
    note(Health::kWhole, "segments",
         fmt::format("{}{}", whole,
                     unsealed > 0
                         ? fmt::format(", {} of them of before there were checksums", unsealed)
                         : ""));
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(store::segment_folder(folder_), none))
      if (!entry.is_directory(none) && !named.contains(entry.path().filename().string()))
        note(Health::kNote, entry.path().string(),
             "no list names it; it is left alone or, when "
             "it is a segment, put right at the next start");
  }

  void examine_views() {
    const std::string segments = store::segment_folder(folder_);
    const auto views = read_file(fmt::format("{}/{}", segments, store::kViewsFile));
    if (!views.ok()) return;  // written at each start
    // The manifest of a running application is its own: the segments are examined by the list.
    const auto question =
        store_ ? std::optional<std::string_view>("") : std::optional<std::string_view>();
    const auto whole = store::verify_views(segments, *views, question);
    if (!whole.ok()) return blame("views", whole.error());
    if (!store_) note(Health::kWhole, "segments", "those in the list of views");
  }

  void examine_registry() {
    auto opened = models::Registry::open_to_read(folder_);
    if (opened.ok()) {
      registry_ = std::move(opened).value();
      note(Health::kWhole, "registry", "of models");
    } else if (opened.error().code != ErrorCode::kNotFound) {
      blame("registry", opened.error());
    }
  }

  void examine_packages() {
    if (!registry_) return;
    const auto names = registry_->models();
    if (!names.ok()) return blame("registry", names.error());
    size_t whole = 0;
    for (const std::string& name : *names) {
      const auto versions = registry_->versions(name);
      if (!versions.ok()) return blame("registry", versions.error());
      for (const models::VersionInfo& version : *versions) {
        const auto package = models::read_package(folder_ + "/" + version.folder);
        if (package.ok())
          ++whole;
        else
          blame("package", package.error());
      }
    }
    note(Health::kWhole, "packages", std::to_string(whole));
  }

  void note_lost() {
    if (fs::exists(store::lost_folder(folder_)))
      note(Health::kNote, store::lost_folder(folder_),
           "what was given up before; remove it when it is of no use");
  }

  const std::string folder_;
  MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<models::Registry> registry_;
  std::vector<Finding> found_;
};

}  // namespace

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kWhole: return "whole";
    case Health::kNote: return "note";
    case Health::kUnread: return "unread";
    case Health::kDamaged: return "damaged";
    case Health::kMissing: return "missing";
  }
  return "unknown";
}

Result<std::vector<Finding>> examine_data(const std::string& folder) {
  std::error_code failed;
  if (!fs::is_directory(folder, failed))
    return Error{ErrorCode::kNotFound, "there is no such data folder", folder,
                 "name the data folder of an application that ran: --data DIR"};
  return Examination(folder).run();
}

}  // namespace qw::app
