#include "models/internal/registry_file.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/bytes.h"

namespace qw::models::internal {
namespace {

// `aliases` as version 2 had it: its role is added after.
constexpr const char* kTables = R"sql(
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
constexpr const char* kRoles = R"sql(
ALTER TABLE aliases ADD COLUMN role TEXT NOT NULL DEFAULT 'label';
UPDATE aliases SET role = 'champion' WHERE alias = 'champion';
)sql";
// All that the seal covers, in one order.
constexpr const char* kContent[] = {
    "SELECT model, last FROM counters ORDER BY model",
    "SELECT model, version, state, reason, folder, digest, parent, published_us, swapped_us, "
    "metrics, lineage FROM versions ORDER BY model, version",
    "SELECT model, alias, version FROM aliases ORDER BY model, alias",
    "SELECT id, at_us, model, version, kind, detail FROM events ORDER BY id",
    "SELECT role FROM aliases ORDER BY model, alias"};  // since version 3

// Of all that the registry holds. SQLite notices damage to its own structures alone.
Result<std::string> content_sum(sqlite3* database, int64_t schema) {
  const size_t parts = std::size(kContent) - (schema < 3 ? 1 : 0);
  std::string all;
  for (size_t part = 0; part < parts; ++part) {
    Statement statement(database, kContent[part], {});
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

Result<void> check_seal(sqlite3* database, int64_t schema) {
  if (schema < 2) return {};
  QW_ASSIGN(const std::string sum, content_sum(database, schema));
  Statement sealed(database, "SELECT sum FROM seal", {});
  QW_ASSIGN(const bool found, sealed.step());
  if (!found || sealed.text(0) != sum)
    return damaged("the registry is damaged: what it holds fails its checksum");
  return {};
}

Result<void> run_all(sqlite3* database, const char* sql) {
  const int code = sqlite3_exec(database, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(database, code);
  return {};
}

Result<void> check_whole(sqlite3* database, const std::map<std::string, int64_t>& packages) {
  {
    Statement check(database, "PRAGMA integrity_check(1)", {});
    QW_TRY(check.step());
    if (check.text(0) != "ok") return damaged("the registry is damaged: " + check.text(0));
  }
  QW_ASSIGN(const int64_t schema, schema_version(database));
  QW_TRY(check_seal(database, schema));
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
}

}  // namespace

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Result<void> Transaction::begin() {
  QW_TRY(run(database_, "BEGIN IMMEDIATE"));
  open_ = true;
  return {};
}

Result<void> Transaction::commit() {
  QW_ASSIGN(const std::string sum, content_sum(database_, kSchemaVersion));
  QW_TRY(run(database_, "INSERT OR REPLACE INTO seal VALUES (1, ?)", {sum}));
  QW_TRY(run(database_, "COMMIT"));
  open_ = false;
  return {};
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

Result<void> bring_up_to_date(sqlite3* database) {
  Transaction transaction(database);
  QW_TRY(transaction.begin());
  QW_ASSIGN(const int64_t now, schema_version(database));
  if (now >= kSchemaVersion) return {};  // another process did
  QW_TRY(check_seal(database, now));     // a new seal must not hide damage
  QW_TRY(run_all(database, kTables));
  QW_TRY(run_all(database, kRoles));
  QW_TRY(run(database, "PRAGMA user_version = 3"));
  return transaction.commit();
}

Result<void> verify(sqlite3* database, const std::map<std::string, int64_t>& packages) {
  QW_TRY(run(database, "BEGIN"));
  const auto checked = check_whole(database, packages);
  QW_TRY(run(database, "COMMIT"));
  return checked;
}

}  // namespace qw::models::internal
