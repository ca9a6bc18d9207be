#include "simulated_disk.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "base/bytes.h"

namespace qw::sim {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr uint64_t kSectorBytes = 512;

std::string parent_of(const std::string& path) { return fs::path(path).parent_path().string(); }

std::string clean(const std::string& path) {
  std::string text = fs::path(path).lexically_normal().string();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

class File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(SimulatedDisk& disk, std::string path, std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* context) override {
    return disk_.append(path_, *target(), data, options, context);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* context) override {
    return disk_.append(path_, *target(), data, options, context);
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("direct writes are not simulated");
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* context) override {
    return disk_.sync_file(path_, *target(), options, context);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* context) override {
    return disk_.sync_file(path_, *target(), options, context);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* context) override {
    return disk_.truncate(path_, *target(), size, options, context);
  }
  // Hints of the writer to start writing back; they promise nothing.
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  SimulatedDisk& disk_;
  std::string path_;
};

class Folder final : public rocksdb::FSDirectory {
 public:
  Folder(SimulatedDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return disk_.sync_folder(path_); }

 private:
  SimulatedDisk& disk_;
  std::string path_;
};

}  // namespace

SimulatedDisk::SimulatedDisk(std::string folder, uint64_t seed)
    : FileSystemWrapper(rocksdb::FileSystem::Default()),
      folder_(clean(folder)),
      aside_(folder_ + ".aside"),
      random_(seed) {
  fs::create_directories(aside_);
}

void SimulatedDisk::die_after(uint64_t operations) {
  const std::lock_guard lock(mutex_);
  dies_at_ = operations_ + operations;
}
void SimulatedDisk::die_now() { die_after(0); }
void SimulatedDisk::die_in_next_log() {
  const std::lock_guard lock(mutex_);
  dies_in_next_log_ = true;
}
bool SimulatedDisk::dead() const {
  const std::lock_guard lock(mutex_);
  return operations_ >= dies_at_;
}
uint64_t SimulatedDisk::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}
void SimulatedDisk::limit_space(uint64_t free_bytes) {
  const std::lock_guard lock(mutex_);
  free_bytes_ = free_bytes;
}
void SimulatedDisk::lift_space_limit() {
  const std::lock_guard lock(mutex_);
  free_bytes_.reset();
}
void SimulatedDisk::die_in_manifest() {
  const std::lock_guard lock(mutex_);
  dies_in_manifest_ = true;
}

IOStatus SimulatedDisk::count_operation() {
  if (operations_ < dies_at_) ++operations_;
  return operations_ < dies_at_ ? IOStatus::OK() : IOStatus::IOError("the simulated disk is dead");
}

IOStatus SimulatedDisk::append(const std::string& path, rocksdb::FSWritableFile& file,
                               const Slice& data, const IOOptions& options,
                               IODebugContext* context) {
  const std::lock_guard lock(mutex_);
  if (operations_ >= dies_at_) return count_operation();
  const bool dies = !count_operation().ok();
  size_t fits = dies ? random_.below(data.size() + 1) : data.size();
  const bool full = !dies && free_bytes_.has_value() && fits > *free_bytes_;
  if (full) fits = *free_bytes_;
  if (free_bytes_.has_value()) *free_bytes_ -= std::min<uint64_t>(*free_bytes_, fits);
  synced_bytes_.try_emplace(path, 0);
  const IOStatus written = file.Append(Slice(data.data(), fits), options, context);
  // The bytes must be where a crash can cut them, not in a buffer of ours.
  const IOStatus flushed = file.Flush(options, context);
  if (!written.ok()) return written;
  if (!flushed.ok()) return flushed;
  if (path == fatal_log_) dies_at_ = operations_;
  if (dies_in_manifest_ && path.find("/MANIFEST-") != std::string::npos) {
    torn_file_ = path;
    dies_at_ = operations_;
  }
  if (full) return IOStatus::NoSpace("the simulated disk is full");
  return dies ? IOStatus::IOError("the simulated disk died while writing") : IOStatus::OK();
}

IOStatus SimulatedDisk::sync_file(const std::string& path, rocksdb::FSWritableFile& file,
                                  const IOOptions& options, IODebugContext* context) {
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  const IOStatus flushed = file.Flush(options, context);
  if (flushed.ok()) synced_bytes_[path] = fs::file_size(path);
  return flushed;
}

IOStatus SimulatedDisk::truncate(const std::string& path, rocksdb::FSWritableFile& file,
                                 uint64_t size, const IOOptions& options, IODebugContext* context) {
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  const auto found = synced_bytes_.find(path);
  if (found != synced_bytes_.end()) found->second = std::min(found->second, size);
  return file.Truncate(size, options, context);
}

IOStatus SimulatedDisk::sync_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  std::erase_if(name_changes_, [&](const NameChange& change) {
    if (change.folder != path) return false;
    if (!change.backup.empty()) fs::remove_all(change.backup);
    return true;
  });
  return IOStatus::OK();
}

IOStatus SimulatedDisk::NewWritableFile(const std::string& raw, const FileOptions& options,
                                        std::unique_ptr<rocksdb::FSWritableFile>* file,
                                        IODebugContext* context) {
  const std::string path = clean(raw);
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  if (fs::exists(path)) name_changes_.push_back({parent_of(path), path, "", set_aside(path)});
  name_changes_.push_back({parent_of(path), "", path, ""});
  synced_bytes_[path] = 0;
  std::unique_ptr<rocksdb::FSWritableFile> real;
  const IOStatus opened = target()->NewWritableFile(path, options, &real, context);
  if (opened.ok()) *file = std::make_unique<File>(*this, path, std::move(real));
  if (dies_in_next_log_ && path.ends_with(".log")) {
    fatal_log_ = path;
    dies_in_next_log_ = false;
  }
  return opened;
}

IOStatus SimulatedDisk::ReopenWritableFile(const std::string& raw, const FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                                           IODebugContext* context) {
  const std::string path = clean(raw);
  std::unique_ptr<rocksdb::FSWritableFile> real;
  const IOStatus opened = target()->ReopenWritableFile(path, options, &real, context);
  if (opened.ok()) *file = std::make_unique<File>(*this, path, std::move(real));
  return opened;
}

IOStatus SimulatedDisk::NewDirectory(const std::string& path, const IOOptions&,
                                     std::unique_ptr<rocksdb::FSDirectory>* folder,
                                     IODebugContext*) {
  *folder = std::make_unique<Folder>(*this, clean(path));
  return IOStatus::OK();
}

IOStatus SimulatedDisk::DeleteFile(const std::string& raw, const IOOptions&, IODebugContext*) {
  const std::string path = clean(raw);
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  if (!fs::exists(path)) return IOStatus::NotFound(path);
  name_changes_.push_back({parent_of(path), path, "", set_aside(path)});
  return IOStatus::OK();
}

IOStatus SimulatedDisk::RenameFile(const std::string& raw_from, const std::string& raw_to,
                                   const IOOptions& options, IODebugContext* context) {
  const std::string from = clean(raw_from);
  const std::string to = clean(raw_to);
  const std::lock_guard lock(mutex_);
  const IOStatus alive = count_operation();
  if (!alive.ok()) return alive;
  NameChange change{parent_of(to), from, to, ""};
  if (fs::exists(to)) change.backup = set_aside(to);
  const IOStatus renamed = target()->RenameFile(from, to, options, context);
  if (!renamed.ok()) return renamed;
  name_changes_.push_back(std::move(change));
  remember_rename(from, to);
  return renamed;
}

IOStatus SimulatedDisk::GetFreeSpace(const std::string& path, const IOOptions& options,
                                     uint64_t* free_bytes, IODebugContext* context) {
  const std::lock_guard lock(mutex_);
  if (!free_bytes_.has_value()) return target()->GetFreeSpace(path, options, free_bytes, context);
  *free_bytes = *free_bytes_;
  return IOStatus::OK();
}

std::string SimulatedDisk::set_aside(const std::string& path) {
  const std::string backup = aside_ + "/" + std::to_string(++set_aside_);
  fs::rename(path, backup);
  remember_rename(path, backup);
  return backup;
}

// A file or a folder with all below it goes by its new name.
void SimulatedDisk::remember_rename(const std::string& from, const std::string& to) {
  const auto renamed = [&](const std::string& path) -> std::optional<std::string> {
    if (path == from) return to;
    if (path.starts_with(from + "/")) return to + path.substr(from.size());
    return std::nullopt;
  };
  std::map<std::string, uint64_t> moved;
  for (const auto& [path, bytes] : synced_bytes_) moved[renamed(path).value_or(path)] = bytes;
  synced_bytes_ = std::move(moved);
  if (!fs::is_directory(to)) return;
  for (NameChange& change : name_changes_)
    for (std::string* path : {&change.folder, &change.from, &change.to})
      if (path->starts_with(from + "/") || (path == &change.folder && *path == from))
        *path = renamed(*path).value_or(*path);
}

void SimulatedDisk::undo(const NameChange& change) {
  std::error_code ignored;  // an older state of the same name may be gone already
  if (change.from.empty()) {
    fs::remove_all(change.to, ignored);
    synced_bytes_.erase(change.to);
    return;
  }
  if (!change.to.empty()) {
    fs::rename(change.to, change.from, ignored);
    remember_rename(change.to, change.from);
  }
  if (!change.backup.empty()) {
    const std::string& home = change.to.empty() ? change.from : change.to;
    fs::rename(change.backup, home, ignored);
    remember_rename(change.backup, home);
  }
}

void SimulatedDisk::zero(const std::string& path, uint64_t from, uint64_t to) {
  std::fstream bytes(path, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(static_cast<std::streamoff>(from));
  bytes.write(std::string(to - from, '\0').data(), static_cast<std::streamsize>(to - from));
}

void SimulatedDisk::cut_file(const std::string& path, uint64_t cut_seed) {
  // Each file has its own numbers, so that one file's length does not change another's fate.
  Random random(cut_seed ^ checksum64(path.substr(folder_.size())));
  const auto synced = synced_bytes_.find(path);
  const uint64_t safe = synced == synced_bytes_.end() ? 0 : synced->second;
  const uint64_t size = fs::file_size(path);
  if (size <= safe) return;
  if (path == torn_file_)
    return zero(path, std::min(size, (safe / kSectorBytes + 1) * kSectorBytes), size);
  uint64_t kept = safe + random.below(size - safe + 1);
  if (random.below(2) == 0) kept = safe;
  fs::resize_file(path, kept);
  // Sectors reach the disk in any order: some of those before the last may not have come.
  if (random.below(2) == 0) return;
  for (uint64_t at = safe; at < kept; at = (at / kSectorBytes + 1) * kSectorBytes) {
    if (random.below(4) != 0) continue;
    const uint64_t end = std::min(kept, (at / kSectorBytes + 1) * kSectorBytes);
    zero(path, at, end);
  }
}

void SimulatedDisk::power_on(Crash crash) {
  const std::lock_guard lock(mutex_);
  if (crash == Crash::kPowerCut) {
    const size_t all = name_changes_.size();
    const bool any = fatal_log_.empty() && torn_file_.empty();
    const size_t kept = any ? random_.below(all + 1) : all;
    for (size_t i = name_changes_.size(); i > kept; --i) undo(name_changes_[i - 1]);
    const uint64_t cut_seed = random_.next_u64();
    std::set<std::string> files;  // in order, so that a seed means the same cut
    for (const auto& entry : fs::recursive_directory_iterator(folder_))
      if (entry.is_regular_file()) files.insert(entry.path().string());
    for (const std::string& file : files) {
      const std::string name = fs::path(file).filename().string();
      // The store writes these two with its own system calls and syncs them.
      if (name != "FORMAT" && name != "LOCK" && file != fatal_log_) cut_file(file, cut_seed);
    }
  }
  for (const auto& entry : fs::directory_iterator(aside_)) fs::remove_all(entry.path());
  name_changes_.clear();
  // What the disk holds now is what it holds.
  synced_bytes_.clear();
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    if (entry.is_regular_file()) synced_bytes_[entry.path().string()] = entry.file_size();
  dies_at_ = UINT64_MAX;
  dies_in_next_log_ = false;
  fatal_log_.clear();
  dies_in_manifest_ = false;
  torn_file_.clear();
}

}  // namespace qw::sim
