// Which versions of a model serve, and under which names.
#include <fmt/format.h>

#include "models/internal/registry_file.h"
#include "models/registry.h"
#include "schema/settings.h"

namespace qw::models {
namespace {

using internal::add_event;
using internal::run;
using internal::Statement;
using internal::Transaction;

constexpr const char* kChampionAlias = "champion";
constexpr AliasRole kRoles[] = {AliasRole::kLabel, AliasRole::kChampion, AliasRole::kChallenger,
                                AliasRole::kShadow};

AliasRole parse_role(const std::string& text) {
  for (const AliasRole role : kRoles)
    if (name_of(role) == text) return role;
  return AliasRole::kLabel;
}

bool beside(VersionState state) {
  return state == VersionState::kChallenger || state == VersionState::kShadow;
}

Result<void> check_role(const AliasChange& change, const VersionInfo& version) {
  if (change.role == AliasRole::kLabel) return {};
  for (const VersionState state :
       {VersionState::kWarming, VersionState::kWarmed, VersionState::kChampion,
        VersionState::kRollingBack, VersionState::kRefused, VersionState::kFailed})
    if (version.state == state)
      return Error{ErrorCode::kConflict,
                   fmt::format("version {} of '{}' is {} and cannot be a {} too", change.version,
                               change.model, name_of(state), name_of(change.role)),
                   "registry.sqlite", "name another version"};
  return {};
}

Result<void> check_names(const AliasChange& change) {
  QW_TRY(schema::check_name(change.alias, schema::SettingKind::kName));
  if (change.alias == kChampionAlias || change.role == AliasRole::kChampion)
    return Error{ErrorCode::kBadInput, "the champion is not set as an alias", change.model,
                 "a swap makes a version champion, a rollback puts the one before back"};
  return {};
}

std::string describe(std::optional<int64_t> version) {
  return version ? fmt::format("points to version {}", *version) : "does not exist";
}

}  // namespace

std::string_view name_of(AliasRole role) {
  switch (role) {
    case AliasRole::kLabel: return "label";
    case AliasRole::kChampion: return "champion";
    case AliasRole::kChallenger: return "challenger";
    case AliasRole::kShadow: return "shadow";
  }
  return "unknown";
}

Result<std::optional<int64_t>> Registry::alias(const std::string& model,
                                               const std::string& alias) const {
  Statement statement(database_, "SELECT version FROM aliases WHERE model = ? AND alias = ?",
                      {model, alias});
  QW_ASSIGN(const bool found, statement.step());
  if (!found) return std::optional<int64_t>();
  return std::optional<int64_t>(statement.integer(0));
}

Result<std::vector<Alias>> Registry::aliases(const std::string& model) const {
  QW_ASSIGN(const int64_t schema, internal::schema_version(database_));
  // Read-only, an older file stays as it is.
  const char* const sql =
      schema < 3 ? "SELECT alias, version, CASE alias WHEN 'champion' THEN alias ELSE 'label' END "
                   "FROM aliases WHERE model = ? ORDER BY alias"
                 : "SELECT alias, version, role FROM aliases WHERE model = ? ORDER BY alias";
  Statement statement(database_, sql, {model});
  std::vector<Alias> found;
  while (true) {
    QW_ASSIGN(const bool more, statement.step());
    if (!more) return found;
    found.push_back({statement.text(0), statement.integer(1), parse_role(statement.text(2))});
  }
}

// Makes the state of a version that is beside the champion, or was, that of its aliases.
Result<void> Registry::settle(const std::string& model, int64_t version, int64_t at_us) {
  QW_ASSIGN(const VersionInfo now, this->version(model, version));
  QW_ASSIGN(const auto names, aliases(model));
  VersionState state = beside(now.state) ? VersionState::kPrevious : now.state;
  for (const AliasRole role : {AliasRole::kShadow, AliasRole::kChallenger})  // the last one holds
    for (const Alias& alias : names)
      if (alias.version == version && alias.role == role)
        state = role == AliasRole::kShadow ? VersionState::kShadow : VersionState::kChallenger;
  if (state == now.state) return {};
  QW_TRY(run(database_,
             "UPDATE versions SET state = ?, reason = '' WHERE model = ? AND version = ?",
             {std::string(name_of(state)), model, version}));
  return add_event(database_, at_us, model, version, fmt::format("state:{}", name_of(state)), "");
}

Result<void> Registry::change_alias(const AliasChange& change) {
  QW_TRY(check_names(change));
  Transaction transaction(database_);
  QW_TRY(transaction.begin());
  QW_ASSIGN(const auto before, alias(change.model, change.alias));
  if (before.value_or(0) != change.expected)
    return Error{
        ErrorCode::kConflict,
        fmt::format("the alias '{}' of '{}' {}, and was expected to be otherwise: {}", change.alias,
                    change.model, describe(before),
                    change.expected == 0 ? "none" : fmt::format("version {}", change.expected)),
        "registry.sqlite", "read it again and decide anew"};
  if (change.version == 0) {
    QW_TRY(run(database_, "DELETE FROM aliases WHERE model = ? AND alias = ?",
               {change.model, change.alias}));
  } else {
    QW_ASSIGN(const VersionInfo version, this->version(change.model, change.version));
    QW_TRY(check_role(change, version));
    QW_TRY(run(database_,
               "INSERT INTO aliases (model, alias, version, role) VALUES (?, ?, ?, ?) ON CONFLICT "
               "(model, alias) DO UPDATE SET version = excluded.version, role = excluded.role",
               {change.model, change.alias, change.version, std::string(name_of(change.role))}));
  }
  const std::string role(change.version == 0 ? "removed" : name_of(change.role));
  QW_TRY(add_event(database_, change.at_us, change.model, change.version,
                   fmt::format("alias:{}", change.alias),
                   change.reason.empty() ? role : fmt::format("{}: {}", role, change.reason)));
  if (before) QW_TRY(settle(change.model, *before, change.at_us));
  if (change.version != 0) QW_TRY(settle(change.model, change.version, change.at_us));
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
  QW_ASSIGN(const auto names, aliases(model));
  for (const Alias& alias : names) {
    if (alias.version != version ||
        (alias.role != AliasRole::kChallenger && alias.role != AliasRole::kShadow))
      continue;
    QW_TRY(
        run(database_, "DELETE FROM aliases WHERE model = ? AND alias = ?", {model, alias.name}));
    QW_TRY(add_event(database_, at_us, model, 0, fmt::format("alias:{}", alias.name),
                     "removed: it is champion"));
  }
  QW_TRY(run(database_,
             "UPDATE versions SET state = 'champion', reason = '', swapped_us = ? WHERE model = ? "
             "AND version = ?",
             {at_us, model, version}));
  QW_TRY(run(database_,
             "INSERT INTO aliases (model, alias, version, role) VALUES (?, 'champion', ?, "
             "'champion') ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version",
             {model, version}));
  QW_TRY(add_event(database_, at_us, model, version, "alias:champion", ""));
  return transaction.commit();
}

}  // namespace qw::models
