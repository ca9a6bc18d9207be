#include "models/registry.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "models/internal/registry_file.h"
#include "models/package.h"

namespace qw::models {
namespace {

using internal::add_event;
using internal::bring_up_to_date;
using internal::damaged;
using internal::kSchemaVersion;
using internal::run;
using internal::schema_version;
using internal::sqlite_error;
using internal::Statement;
using internal::Transaction;
using internal::verify;

namespace fs = std::filesystem;

std::string file_of(const std::string& folder) { return folder + "/registry.sqlite"; }

constexpr VersionState kStates[] = {VersionState::kPublished,   VersionState::kWarming,
                                    VersionState::kWarmed,      VersionState::kChampion,
                                    VersionState::kRollingBack, VersionState::kPrevious,
                                    VersionState::kChallenger,  VersionState::kShadow,
                                    VersionState::kRefused,     VersionState::kFailed};

VersionState parse_state(const std::string& text) {
  for (const VersionState state : kStates)
    if (name_of(state) == text) return state;
  return VersionState::kFailed;
}

constexpr const char* kVersionColumns =
    "SELECT model, version, state, reason, folder, digest, parent, published_us, swapped_us, "
    "metrics, lineage FROM versions ";

VersionInfo read_version(const Statement& row) {
  VersionInfo info;
  info.model = row.text(0);
  info.version = row.integer(1);
  info.state = parse_state(row.text(2));
  info.reason = row.text(3);
  info.folder = row.text(4);
  info.digest = row.text(5);
  info.parent = row.integer(6);
  info.published_us = row.integer(7);
  info.swapped_us = row.integer(8);
  info.metrics = row.text(9);
  info.lineage = row.text(10);
  return info;
}

// The highest version of each model that has a package.
std::map<std::string, int64_t> packages_of(const std::string& folder) {
  std::map<std::string, int64_t> newest;
  std::error_code none;
  for (const auto& model : fs::directory_iterator(folder + "/models", none))
    for (const auto& version : fs::directory_iterator(model.path(), none)) {
      const std::string name = version.path().filename().string();
      const bool number = !name.empty() && name.size() < 18 &&
                          name.find_first_not_of("0123456789") == std::string::npos;
      if (!number || !fs::exists(version.path() / "manifest.json", none)) continue;
      int64_t& newest_of_model = newest[model.path().filename().string()];
      newest_of_model = std::max<int64_t>(newest_of_model, std::stoll(name));
    }
  return newest;
}

Result<void> prepare(sqlite3* database, const std::map<std::string, int64_t>& packages,
                     bool may_create) {
  sqlite3_busy_timeout(database, 5000);
  QW_ASSIGN(const int64_t before, schema_version(database));
  if (before == 0 && !may_create) return damaged("the registry is empty: it was emptied or lost");
  if (before > kSchemaVersion)
    return Error{ErrorCode::kUnsupported, "the registry was written by a newer Quickwater",
                 "registry.sqlite", "start the newer version"};
  QW_TRY(run(database, "PRAGMA journal_mode = WAL"));
  QW_TRY(run(database, "PRAGMA synchronous = FULL"));
  if (before < kSchemaVersion) QW_TRY(bring_up_to_date(database));
  return verify(database, packages);
}

// A path inside a URI.
std::string escaped(const std::string& path) {
  std::string text;
  for (const char c : path)
    text += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02x}", static_cast<unsigned>(c))
                                             : std::string(1, c);
  return text;
}

// A registry that is not there was there before.
Result<bool> is_missed(const std::string& folder) {
  QW_ASSIGN(const auto facts, store::read_facts(folder));
  return (facts && facts->has_registry) || !packages_of(folder).empty();
}

Error missing(const std::string& folder) {
  return {ErrorCode::kCorrupt, "the registry of the data folder is gone", file_of(folder),
          store::kMendDamage};
}

// The packages know all but how each version fared.
Result<size_t> publish_packages(Registry& registry, const std::string& folder) {
  size_t published = 0;
  for (const auto& [model, newest] : packages_of(folder))
    for (int64_t number = 1; number <= newest; ++number) {
      QW_ASSIGN(const int64_t version, registry.reserve_version(model));
      VersionInfo info;
      info.folder = fmt::format("models/{}/{}", model, version);
      const auto package = read_package(folder + "/" + info.folder);
      if (!package.ok()) continue;
      info.model = model;
      info.version = version;
      info.state = VersionState::kPrevious;
      info.reason = "found again after the registry was lost";
      info.digest = content_digest(*package);
      info.published_us = package->created_us;
      info.metrics = package->metrics;
      info.lineage = package->lineage;
      QW_TRY(registry.publish(info));
      ++published;
    }
  return published;
}

}  // namespace

std::string_view name_of(VersionState state) {
  switch (state) {
    case VersionState::kPublished: return "published";
    case VersionState::kWarming: return "warming";
    case VersionState::kWarmed: return "warmed";
    case VersionState::kChampion: return "champion";
    case VersionState::kRollingBack: return "rolling_back";
    case VersionState::kPrevious: return "previous";
    case VersionState::kChallenger: return "challenger";
    case VersionState::kShadow: return "shadow";
    case VersionState::kRefused: return "refused";
    case VersionState::kFailed: return "failed";
  }
  return "unknown";
}

Registry::Registry(std::string folder, sqlite3* database)
    : folder_(std::move(folder)), database_(database) {}
Registry::~Registry() { sqlite3_close_v2(database_); }

Result<std::unique_ptr<Registry>> Registry::open_file(const std::string& folder, bool may_create) {
  // What is made anew knows of none yet.
  const auto packages = may_create ? std::map<std::string, int64_t>() : packages_of(folder);
  sqlite3* database = nullptr;
  const int code =
      sqlite3_open_v2(file_of(folder).c_str(), &database,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  std::unique_ptr<Registry> registry(
      new Registry(folder, database));  // owns the handle, also a failed one
  if (code != SQLITE_OK) return sqlite_error(database, code);
  QW_TRY(prepare(database, packages, may_create));
  return registry;
}

Result<std::unique_ptr<Registry>> Registry::open(const std::string& folder) {
  QW_TRY(make_folders(folder));
  QW_ASSIGN(const bool missed, is_missed(folder));
  if (missed && !fs::exists(fs::symlink_status(file_of(folder)))) return missing(folder);
  return open_file(folder, !missed);
}

Result<std::unique_ptr<Registry>> Registry::open_to_read(const std::string& folder) {
  QW_ASSIGN(const bool missed, is_missed(folder));
  std::error_code failed;
  if (!fs::exists(file_of(folder), failed))
    return missed ? missing(folder)
                  : Error{ErrorCode::kNotFound, "there is no registry", file_of(folder), ""};
  const auto packages = packages_of(folder);
  const auto look = [&](const std::string& name, int more) -> Result<std::unique_ptr<Registry>> {
    sqlite3* database = nullptr;
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX | more;
    const int code = sqlite3_open_v2(name.c_str(), &database, flags, nullptr);
    std::unique_ptr<Registry> registry(new Registry(folder, database));
    if (code != SQLITE_OK) return sqlite_error(database, code);
    QW_ASSIGN(const int64_t version, schema_version(database));
    if (version == 0) return damaged("the registry is empty: it was emptied or lost");
    if (version <= kSchemaVersion) QW_TRY(verify(database, packages));
    return registry;
  };
  auto seen = look(file_of(folder), 0);
  if (seen.ok() || seen.error().code == ErrorCode::kCorrupt) return seen;
  // Even to read, SQLite makes a file beside it, which a full disk or a mount that may not be
  // written refuses. Where nobody writes and nothing waits in the log it can do without.
  const uint64_t waiting = fs::file_size(file_of(folder) + "-wal", failed);
  if (!failed && waiting > 0) return seen;
  return look("file:" + escaped(file_of(folder)) + "?immutable=1", SQLITE_OPEN_URI);
}

Result<std::unique_ptr<Registry>> Registry::open_or_rebuild(const std::string& folder,
                                                            std::vector<store::Loss>& losses) {
  auto opened = open(folder);
  if (opened.ok() || opened.error().code != ErrorCode::kCorrupt) return opened;
  for (const char* end : {"", "-wal", "-shm"})
    if (fs::exists(fs::symlink_status(file_of(folder) + end)))
      QW_TRY(store::set_aside(folder, file_of(folder) + end));
  QW_ASSIGN(auto made, open_file(folder, true));
  QW_ASSIGN(const size_t published, publish_packages(*made, folder));
  losses.push_back({file_of(folder), fmt::format("{}; {} versions were found again from their "
                                                 "packages, without their states and history",
                                                 opened.error().message, published)});
  return made;
}

Result<std::vector<std::string>> Registry::models() const {
  Statement statement(database_, "SELECT DISTINCT model FROM versions ORDER BY model", {});
  std::vector<std::string> names;
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return names;
    names.push_back(statement.text(0));
  }
}

Result<std::vector<VersionInfo>> Registry::versions(const std::string& model) const {
  const std::string sql = std::string(kVersionColumns) + "WHERE model = ? ORDER BY version DESC";
  Statement statement(database_, sql.c_str(), {model});
  std::vector<VersionInfo> found;
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return found;
    found.push_back(read_version(statement));
  }
}

Result<VersionInfo> Registry::version(const std::string& model, int64_t version) const {
  const std::string sql = std::string(kVersionColumns) + "WHERE model = ? AND version = ?";
  Statement statement(database_, sql.c_str(), {model, version});
  QW_ASSIGN(const bool found, statement.step());
  if (found) return read_version(statement);
  QW_ASSIGN(const auto all, versions(model));
  std::string known;
  for (const VersionInfo& info : all)
    known += fmt::format("{}{}", known.empty() ? "" : ", ", info.version);
  return Error{ErrorCode::kNotFound,
               fmt::format("there is no version {} of model '{}'", version, model),
               "registry.sqlite",
               known.empty() ? "publish one with `quickwater train`"
                             : fmt::format("known versions: {}", known)};
}

Result<std::vector<RegistryEvent>> Registry::events_after(int64_t id, size_t limit) const {
  Statement statement(
      database_,
      "SELECT id, at_us, model, version, kind, detail FROM events WHERE id > ? ORDER BY id LIMIT ?",
      {id, static_cast<int64_t>(limit)});
  std::vector<RegistryEvent> events;
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return events;
    events.push_back({statement.integer(0), statement.integer(1), statement.text(2),
                      statement.integer(3), statement.text(4), statement.text(5)});
  }
}

Result<int64_t> Registry::reserve_version(const std::string& model) {
  Transaction transaction(database_);
  QW_TRY(transaction.begin());
  QW_TRY(run(database_,
             "INSERT INTO counters VALUES (?, 1) ON CONFLICT (model) DO UPDATE SET last = last + 1",
             {model}));
  int64_t version = 0;
  {
    Statement statement(database_, "SELECT last FROM counters WHERE model = ?", {model});
    QW_TRY(statement.step());
    version = statement.integer(0);
  }
  QW_TRY(transaction.commit());
  return version;
}

Result<void> Registry::publish(const VersionInfo& info) {
  Transaction transaction(database_);
  QW_TRY(transaction.begin());
  QW_TRY(run(
      database_, "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {info.model, info.version, std::string(name_of(info.state)), info.reason, info.folder,
       info.digest, info.parent, info.published_us, info.swapped_us, info.metrics, info.lineage}));
  QW_TRY(
      add_event(database_, info.published_us, info.model, info.version, "published", info.reason));
  return transaction.commit();
}

Result<void> Registry::set_state(const std::string& model, int64_t version, VersionState state,
                                 const std::string& reason, int64_t at_us,
                                 std::optional<VersionState> expected) {
  Transaction transaction(database_);
  QW_TRY(transaction.begin());
  QW_ASSIGN(const VersionInfo now, this->version(model, version));
  if (expected && now.state != *expected)
    return Error{ErrorCode::kConflict,
                 fmt::format("version {} of '{}' is {}, not {}", version, model, name_of(now.state),
                             name_of(*expected)),
                 "registry.sqlite", "read it again and decide anew"};
  QW_TRY(run(database_, "UPDATE versions SET state = ?, reason = ? WHERE model = ? AND version = ?",
             {std::string(name_of(state)), reason, model, version}));
  QW_TRY(
      add_event(database_, at_us, model, version, fmt::format("state:{}", name_of(state)), reason));
  return transaction.commit();
}

}  // namespace qw::models
