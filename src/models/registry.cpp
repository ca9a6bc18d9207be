#include "models/registry.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <variant>

#include "base/bytes.h"
#include "base/files.h"
#include "base/full_disk.h"
#include "models/package.h"

namespace qw::models {
namespace {

constexpr int kSchemaVersion = 2;  // 1: without a seal
constexpr const char* kSchema = R"sql(
CREATE TABLE IF NOT EXISTS counters (model TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
  model TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
  folder TEXT NOT NULL, digest TEXT NOT NULL, parent INTEGER NOT NULL,
  published_us INTEGER NOT NULL, swapped_us INTEGER NOT NULL,
  metrics TEXT NOT NULL, lineage TEXT NOT NULL, PRIMARY KEY (model, version));
CREATE TABLE IF NOT EXISTS aliases (
  model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias));
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, model TEXT NOT NULL,
  version INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seal (id INTEGER PRIMARY KEY CHECK (id = 1), sum TEXT NOT NULL);
)sql";
// All that the seal covers, in one order.
constexpr const char* kContent[] = {
    "SELECT model, last FROM counters ORDER BY model",
    "SELECT model, version, state, reason, folder, digest, parent, published_us, swapped_us, "
    "metrics, lineage FROM versions ORDER BY model, version",
    "SELECT model, alias, version FROM aliases ORDER BY model, alias",
    "SELECT id, at_us, model, version, kind, detail FROM events ORDER BY id"};
namespace fs = std::filesystem;

std::string file_of(const std::string& folder) { return folder + "/registry.sqlite"; }

Error damaged(const std::string& what) {
  return {ErrorCode::kCorrupt, what, "registry.sqlite", store::kMendDamage};
}

Error sqlite_error(sqlite3* database, int code) {
  const std::string what = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::kUnavailable, "the registry is locked by another process",
              "registry.sqlite", "try again"};
    case SQLITE_FULL:
      return {ErrorCode::kExhausted, "the disk is full", "registry.sqlite", "free some space"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return damaged(fmt::format("the registry is damaged: {}", what));
    default: break;
  }
  const int number = database != nullptr ? sqlite3_system_errno(database) : 0;
  if (means_full_disk(number))
    return {ErrorCode::kExhausted, fmt::format("the disk is full: {}", what), "registry.sqlite",
            "free some space"};
  return {ErrorCode::kIo, fmt::format("the registry refused: {}", what), "registry.sqlite",
          "check that this user may read and write registry.sqlite and the data folder"};
}

using Parameter = std::variant<int64_t, std::string>;

// One prepared statement; finalised at the end of its scope.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql, const std::vector<Parameter>& parameters)
      : database_(database) {
    code_ = sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
    for (size_t index = 0; index < parameters.size() && code_ == SQLITE_OK; ++index) {
      const int position = static_cast<int>(index) + 1;
      if (const auto* number = std::get_if<int64_t>(&parameters[index]))
        code_ = sqlite3_bind_int64(statement_, position, *number);
      else
        code_ = sqlite3_bind_text(statement_, position,
                                  std::get<std::string>(parameters[index]).c_str(), -1,
                                  SQLITE_TRANSIENT);
    }
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // True while there is a row.
  Result<bool> step() {
    if (code_ == SQLITE_OK) code_ = sqlite3_step(statement_);
    const int code = code_;
    if (code == SQLITE_ROW) {
      code_ = SQLITE_OK;
      return true;
    }
    if (code == SQLITE_DONE) return false;
    return sqlite_error(database_, code);
  }
  int columns() const { return sqlite3_column_count(statement_); }
  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes);
  }

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int code_ = SQLITE_OK;
};

Result<void> run(sqlite3* database, const char* sql,
                 const std::vector<Parameter>& parameters = {}) {
  Statement statement(database, sql, parameters);
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return {};
  }
}

// Of all that the registry holds. SQLite notices damage to its own structures alone.
Result<std::string> content_sum(sqlite3* database) {
  std::string all;
  for (const char* sql : kContent) {
    Statement statement(database, sql, {});
    while (true) {
      QW_ASSIGN(const bool more, statement.step());
      if (!more) break;
      for (int column = 0; column < statement.columns(); ++column) {
        const std::string cell = statement.text(column);
        all += fmt::format("{}:{};", cell.size(), cell);
      }
    }
  }
  return fmt::format("{:016x}", checksum64(all));
}

Result<void> seal(sqlite3* database) {
  QW_ASSIGN(const std::string sum, content_sum(database));
  return run(database, "INSERT OR REPLACE INTO seal VALUES (1, ?)", {sum});
}

// Takes the write lock at once; rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(sqlite3* database) : database_(database) {}
  ~Transaction() {
    if (open_) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<void> begin() {
    QW_TRY(run(database_, "BEGIN IMMEDIATE"));
    open_ = true;
    return {};
  }
  Result<void> commit() {
    QW_TRY(seal(database_));
    QW_TRY(run(database_, "COMMIT"));
    open_ = false;
    return {};
  }

 private:
  sqlite3* database_;
  bool open_ = false;
};

constexpr VersionState kStates[] = {VersionState::kPublished,   VersionState::kWarming,
                                    VersionState::kWarmed,      VersionState::kChampion,
                                    VersionState::kRollingBack, VersionState::kPrevious,
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

Result<void> add_event(sqlite3* database, int64_t at_us, const std::string& model, int64_t version,
                       const std::string& kind, const std::string& detail) {
  return run(database,
             "INSERT INTO events (at_us, model, version, kind, detail) VALUES (?, ?, ?, ?, ?)",
             {at_us, model, version, kind, detail});
}

Result<int64_t> schema_version(sqlite3* database) {
  Statement statement(database, "PRAGMA user_version", {});
  QW_TRY(statement.step());
  return statement.integer(0);
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

// SQLite's own structures, the seal, and that no package was forgotten: a version's number is
// reserved before its package is written. `packages` were listed before.
Result<void> verify(sqlite3* database, const std::map<std::string, int64_t>& packages) {
  QW_TRY(run(database, "BEGIN"));
  const auto checked = [&]() -> Result<void> {
    {
      Statement check(database, "PRAGMA integrity_check(1)", {});
      QW_TRY(check.step());
      if (check.text(0) != "ok") return damaged("the registry is damaged: " + check.text(0));
    }
    QW_ASSIGN(const std::string sum, content_sum(database));
    Statement sealed(database, "SELECT sum FROM seal", {});
    QW_ASSIGN(const bool found, sealed.step());
    if (!found || sealed.text(0) != sum)
      return damaged("the registry is damaged: what it holds fails its checksum");
    for (const auto& [model, newest] : packages) {
      Statement counter(database, "SELECT last FROM counters WHERE model = ?", {model});
      QW_ASSIGN(const bool known, counter.step());
      if (!known || counter.integer(0) < newest)
        return damaged(fmt::format(
            "the registry has lost something: there is a package of version {} of '{}', of which "
            "it does not know",
            newest, model));
    }
    return {};
  }();
  QW_TRY(run(database, "COMMIT"));
  return checked;
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
  if (before < kSchemaVersion) {
    Transaction transaction(database);
    QW_TRY(transaction.begin());
    if (const int code = sqlite3_exec(database, kSchema, nullptr, nullptr, nullptr);
        code != SQLITE_OK)
      return sqlite_error(database, code);
    QW_TRY(run(database, "PRAGMA user_version = 2"));
    QW_TRY(transaction.commit());
  }
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
    if (version == kSchemaVersion) QW_TRY(verify(database, packages));
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

Result<std::optional<int64_t>> Registry::alias(const std::string& model,
                                               const std::string& alias) const {
  Statement statement(database_, "SELECT version FROM aliases WHERE model = ? AND alias = ?",
                      {model, alias});
  QW_ASSIGN(const bool found, statement.step());
  if (!found) return std::optional<int64_t>();
  return std::optional<int64_t>(statement.integer(0));
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

Result<void> Registry::promote(const std::string& model, int64_t version, int64_t at_us) {
  Transaction transaction(database_);
  QW_TRY(transaction.begin());
  QW_TRY(run(database_,
             "UPDATE versions SET state = 'previous' WHERE model = ? AND state IN ('champion', "
             "'rolling_back') AND version <> ?",
             {model, version}));
  if (version == 0) {
    QW_TRY(run(database_, "DELETE FROM aliases WHERE model = ? AND alias = 'champion'", {model}));
    QW_TRY(add_event(database_, at_us, model, version, "alias:champion", ""));
    return transaction.commit();
  }
  QW_TRY(this->version(model, version));
  QW_TRY(run(database_,
             "UPDATE versions SET state = 'champion', reason = '', swapped_us = ? WHERE model = ? "
             "AND version = ?",
             {at_us, model, version}));
  QW_TRY(run(database_,
             "INSERT INTO aliases VALUES (?, 'champion', ?) ON CONFLICT (model, alias) DO UPDATE "
             "SET version = excluded.version",
             {model, version}));
  QW_TRY(add_event(database_, at_us, model, version, "alias:champion", ""));
  return transaction.commit();
}

}  // namespace qw::models
