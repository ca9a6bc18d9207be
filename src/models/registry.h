// The model registry: which versions exist, in which state, and under which alias. One SQLite file
// per data folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/data_folder.h"

struct sqlite3;

namespace qw::models {

// published: exists; warming/warmed: on its way to become champion; champion: answers;
// rolling_back: answers until its parent is warm again; challenger/shadow: serves beside the
// champion (AliasRole); previous: was champion (`reason`: why it was rolled back) or served beside
// one; refused/failed: never served, `reason` says why.
enum class VersionState : uint8_t {
  kPublished,
  kWarming,
  kWarmed,
  kChampion,
  kRollingBack,
  kPrevious,
  kRefused,
  kFailed,
  kChallenger,
  kShadow
};
std::string_view name_of(VersionState state);

// What the registry knows of one version, as of the call that read it. A value.
struct VersionInfo {
  std::string model;
  int64_t version = 0;
  VersionState state = VersionState::kPublished;
  std::string reason;  // of a refusal or failure
  std::string folder;  // of the package, relative to the registry's folder
  std::string digest;  // content_digest of the package
  int64_t parent = 0;  // the champion it was compared with; 0: none
  int64_t published_us = 0;
  int64_t swapped_us = 0;  // became champion; 0: never
  std::string metrics = "{}";
  std::string lineage = "{}";
};

// One line of the registry's history: appended with the change it tells of, never altered. A value.
struct RegistryEvent {
  int64_t id = 0;
  int64_t at_us = 0;
  std::string model;
  int64_t version = 0;
  std::string kind;  // "published", "state:champion", "alias:champion"
  std::string detail;
};

// What a version does for its model under an alias. One is champion; any number are challengers,
// which answer a share of what is asked, or shadows, which score beside and are not heard; a label
// is a name alone.
enum class AliasRole : uint8_t { kLabel, kChampion, kChallenger, kShadow };
std::string_view name_of(AliasRole role);

// A name for a version of a model. A value.
struct Alias {
  std::string name;
  int64_t version = 0;
  AliasRole role = AliasRole::kLabel;
  friend bool operator==(const Alias&, const Alias&) = default;
};

// A wish to set, move or remove an alias. A value.
struct AliasChange {
  std::string model;
  std::string alias;                   // a name; any but "champion", which promote() moves
  int64_t version = 0;                 // 0: the alias is removed
  AliasRole role = AliasRole::kLabel;  // from now on; never kChampion
  int64_t expected = 0;                // where it points to now; 0: there is none of that name
  std::string reason;                  // kept in the history
  int64_t at_us = 0;
};

// One open registry. Every call is one transaction; several processes may hold it at once (a writer
// waits up to 5 s, then kUnavailable). One thread at a time per object. Owns its database handle.
class Registry {
 public:
  // Creates the file when there was none; kUnsupported when a newer version wrote it, kCorrupt when
  // it is damaged, or missing though the data folder had one.
  static Result<std::unique_ptr<Registry>> open(const std::string& folder);
  // The same; but a damaged or missing one is set aside and made anew from the packages. What is
  // not in them (states, reasons, the history) is added to `losses`.
  static Result<std::unique_ptr<Registry>> open_or_rebuild(const std::string& folder,
                                                           std::vector<store::Loss>& losses);
  // For reading alone, without creating or changing anything. kNotFound: there is none.
  static Result<std::unique_ptr<Registry>> open_to_read(const std::string& folder);
  ~Registry();

  // Reading. kNotFound lists the known names.
  Result<std::vector<std::string>> models() const;
  Result<std::vector<VersionInfo>> versions(const std::string& model) const;  // newest first
  Result<VersionInfo> version(const std::string& model, int64_t version) const;
  // The version an alias points to ("champion"), or nothing.
  Result<std::optional<int64_t>> alias(const std::string& model, const std::string& alias) const;
  Result<std::vector<Alias>> aliases(const std::string& model) const;  // by name
  Result<std::vector<RegistryEvent>> events_after(int64_t id, size_t limit) const;
  const std::string& folder() const { return folder_; }

  // Writing (used by training and rollout).
  // Reserves the next version number of the model; the caller writes the package, then publishes.
  Result<int64_t> reserve_version(const std::string& model);
  Result<void> publish(const VersionInfo& version);
  // With `expected`: kConflict unless the version is in that state now (optimistic concurrency).
  Result<void> set_state(const std::string& model, int64_t version, VersionState state,
                         const std::string& reason, int64_t at_us,
                         std::optional<VersionState> expected = std::nullopt);
  // Points "champion" at the version; the version before becomes `previous`, and what the new one
  // was beside it, challenger or shadow, it is no longer. Version 0, which is what the application
  // file says, has no row: nothing is champion then. One transaction.
  Result<void> promote(const std::string& model, int64_t version, int64_t at_us);
  // Sets, moves or removes an alias, with the states of the versions that it points or pointed to
  // and their lines in the history, in one transaction. A version is a challenger while an alias of
  // that role points to it, else a shadow while one of that does, and `previous` when the last of
  // them is gone. kConflict: the alias does not point where it was expected to, or the version is
  // the champion, on its way there, refused or failed, and cannot have the role; kNotFound: no such
  // version; kBadInput: no name, or "champion".
  Result<void> change_alias(const AliasChange& change);

 private:
  explicit Registry(std::string folder, sqlite3* database);
  static Result<std::unique_ptr<Registry>> open_file(const std::string& folder, bool may_create);
  Result<void> settle(const std::string& model, int64_t version, int64_t at_us);
  std::string folder_;
  sqlite3* database_;
};

}  // namespace qw::models
