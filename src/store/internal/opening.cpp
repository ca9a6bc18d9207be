#include "store/internal/opening.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/file_system.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/full_disk.h"
#include "base/log.h"
#include "store/internal/batch_family.h"
#include "store/internal/folder.h"
#include "store/segments/segment.h"

namespace qw::store::internal {
namespace {

namespace fs = std::filesystem;
constexpr const char* kIdName = "folder/id";

bool is_there(const std::string& path) { return fs::exists(fs::symlink_status(path)); }

std::string random_id() {
  Random random(entropy_seed());
  return fmt::format("{:016x}{:016x}", random.next_u64(), random.next_u64());
}

bool holds_segments(const std::string& folder) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(segment_folder(folder), none))
    if (parse_segment_file(entry.path().filename().string())) return true;
  return false;
}

// What must be there and is not: nothing, or the first.
Result<void> require_parts(const StoreOptions& options, const std::optional<FolderFacts>& facts) {
  const std::string& folder = options.folder;
  const bool has_database = is_there(folder + "/db");
  if (has_database && !facts)
    return Error{ErrorCode::kCorrupt, "the data folder has data but its FORMAT file is missing",
                 folder + "/FORMAT", kMendDamage};
  // Folders of before do not say what they have.
  const bool had =
      (facts && facts->has_database) || EndMarkFile::read(folder) || holds_segments(folder);
  if (!has_database && had)
    return Error{ErrorCode::kCorrupt, "the database of the data folder is gone", folder + "/db",
                 kMendDamage};
  return {};
}

// The same of the newest changes: how far the database may be read.
Result<uint64_t> require_end(const StoreOptions& options) {
  QW_ASSIGN(const Ends ends, examine_database(options));
  const auto mark = EndMarkFile::read(options.folder);
  const uint64_t wanted = mark ? mark->must_hold(options.boot) : 0;
  if (!ends.hole && ends.last >= wanted) return ends.last;
  const std::string lost =
      ends.last < wanted
          ? fmt::format("{} acknowledged changes after change {}", wanted - ends.last, ends.last)
          : fmt::format("changes after change {}", ends.last);
  return Error{ErrorCode::kCorrupt,
               fmt::format("the database's log is damaged or missing: {} cannot be read", lost),
               ends.log_file.empty() ? options.folder + "/db" : ends.log_file, kMendDamage};
}

// Told to go on: what was of the database that is gone must not be taken for the new one's.
Result<void> begin_anew(const StoreOptions& options, Opened& opened) {
  opened.losses.push_back({options.folder + "/db", "the whole database: logs, states, positions"});
  for (const std::string& path :
       {segment_folder(options.folder), EndMarkFile::path(options.folder)})
    if (is_there(path)) {
      QW_ASSIGN(const std::string now, set_aside(options.folder, path));
      opened.losses.push_back({path, "it belonged to that database; it is " + now + " now"});
    }
  opened.facts.id.clear();
  return {};
}

Result<std::string> id_of(Database& database) {
  std::string id;
  const rocksdb::Status status =
      database.db->Get(rocksdb::ReadOptions(), database.family(Family::kMeta), kIdName, &id);
  if (!status.ok() && !status.IsNotFound()) return error_of(status, "cannot read it", "db");
  return id;
}

// The free bytes of a disk say nothing of quotas, of limits on a file's size or of inodes, and a
// database that meets one while it is opened ends the process.
Result<void> probe(const std::string& folder, uint64_t bytes) {
  const std::string path = folder + "/space.probe";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return system_error("cannot write into the data folder", path, errno);
  const int failed = ::fallocate(file, 0, 0, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  ::close(file);
  ::unlink(path.c_str());
  if (means_full_disk(failed))
    return system_error(fmt::format("{} MB cannot be written", bytes >> 20), folder, failed);
  return {};
}

// Parts of different folders are never mixed. `id`: the database's; one of before has none.
Result<void> require_same(const std::string& folder, const FolderFacts& facts,
                          const std::string& id) {
  if (id.empty() || facts.id.empty() || id == facts.id) return {};
  return Error{ErrorCode::kCorrupt,
               fmt::format("the database belongs to another data folder: {} in FORMAT, {} in it",
                           facts.id, id),
               folder + "/FORMAT", kMendDamage};
}

// FORMAT and the database get the same id.
Result<void> know_each_other(const StoreOptions& options, Opened& opened) {
  FolderFacts& facts = opened.facts;
  const FolderFacts before = facts;
  QW_ASSIGN(const std::string id, id_of(opened.database));
  if (const auto same = require_same(options.folder, facts, id); !same.ok()) {
    if (!options.accept_loss) return same;
    opened.losses.push_back({same.error().where, "the id of the folder: " + facts.id});
  }
  if (!id.empty())
    facts.id = id;
  else if (facts.id.empty())
    facts.id = random_id();
  if (id.empty()) {
    rocksdb::WriteBatch batch;
    rocksdb::WriteOptions durable;
    durable.sync = true;
    rocksdb::Status status = batch.Put(batch_family(Family::kMeta), kIdName, facts.id);
    if (status.ok()) status = opened.database.db->Write(durable, &batch);
    if (!status.ok()) return error_of(status, "cannot commit", options.folder);
  }
  facts.has_database = true;
  return facts == before ? Result<void>() : write_facts(options.folder, facts);
}

}  // namespace

Result<void> require_space(const StoreOptions& options, bool opening) {
  uint64_t wanted = options.min_free_bytes;
  std::error_code failed;
  if (opening)
    for (const auto& entry : fs::directory_iterator(options.folder + "/db", failed)) {
      std::error_code vanished;  // the database removes old logs while we look
      const uint64_t size = entry.path().extension() == ".log" ? entry.file_size(vanished) : 0;
      if (!vanished) wanted += size;
    }
  uint64_t free_bytes = 0;
  rocksdb::FileSystem& files =
      options.file_system != nullptr ? *options.file_system : *rocksdb::FileSystem::Default();
  const rocksdb::IOStatus known =
      files.GetFreeSpace(options.folder, rocksdb::IOOptions(), &free_bytes, nullptr);
  if (!known.ok() || free_bytes >= wanted)
    return opening && options.file_system == nullptr && wanted > 0 ? probe(options.folder, wanted)
                                                                   : Result<void>();
  return Error{
      ErrorCode::kExhausted,
      fmt::format("the disk is full: {} MB free, {} MB needed to write safely", free_bytes >> 20,
                  (wanted + (1u << 20) - 1) >> 20),
      options.folder,
      opening ? "free some disk space" : "free some disk space; writing goes on by itself"};
}

Result<Opened> look_at_folder(const StoreOptions& options) {
  Opened opened;
  QW_ASSIGN(const auto facts, read_facts(options.folder));
  QW_TRY(require_parts(options, facts));
  if (facts) opened.facts = *facts;
  if (!is_there(options.folder + "/db"))
    return Error{ErrorCode::kNotFound, "there is no data of an application", options.folder,
                 "name the data folder of an application that ran: --data DIR"};
  QW_TRY(require_end(options));
  QW_ASSIGN(opened.database, open_to_read(options));
  QW_ASSIGN(const std::string id, id_of(opened.database));
  QW_TRY(require_same(options.folder, opened.facts, id));
  return opened;
}

Result<Opened> open_folder(const StoreOptions& options) {
  Opened opened;
  auto facts = read_facts(options.folder);
  if (!facts.ok() && (facts.error().code != ErrorCode::kCorrupt || !options.accept_loss))
    return facts.error();
  QW_TRY(require_space(options, true));
  const std::optional<FolderFacts> known = facts.ok() ? *facts : std::nullopt;
  if (known) opened.facts = *known;
  const auto lost = [&](const Error& error) {
    log::warning("store", "going on without it, as told: {}", error.to_string());
    opened.losses.push_back({error.where, error.message});
  };
  if (const auto parts = require_parts(options, known); !parts.ok()) {
    if (!options.accept_loss) return parts.error();
    lost(parts.error());
    if (!is_there(options.folder + "/db")) QW_TRY(begin_anew(options, opened));
  }
  uint64_t up_to = UINT64_MAX;
  if (is_there(options.folder + "/db")) {
    const auto end = require_end(options);
    if (!end.ok() && !options.accept_loss) return end.error();
    if (!end.ok()) {
      lost(end.error());
      const auto ends = examine_database(options);
      if (ends.ok() && ends->hole) up_to = ends->last;
    }
  } else if (!known) {
    QW_TRY(write_facts(options.folder, opened.facts));
  }
  QW_ASSIGN(opened.database, open_database(options, up_to));
  QW_TRY(know_each_other(options, opened));
  const uint64_t last = opened.database.db->GetLatestSequenceNumber();
  QW_ASSIGN(opened.end, EndMarkFile::begin(options.folder, {options.boot, last, last}));
  return opened;
}

}  // namespace qw::store::internal
