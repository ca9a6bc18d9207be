#include "serve/version_states.h"

#include <fmt/format.h>

#include <optional>

#include "store/commit/checkpointer.h"
#include "store/commit/meta_names.h"

namespace qw::serve {
namespace {

Result<bool> are_of_size(const store::Store& store, const LearningVersion& version,
                         PartitionId stream) {
  std::optional<std::string> first;
  QW_TRY(store.scan_states(version.owner(), stream, [&](std::string_view key, Seq) {
    first = std::string(key);
    return false;
  }));
  if (!first) return true;
  store::StatePages pages;
  QW_ASSIGN(const auto image, store.load_state({version.owner(), stream, *first}, pages));
  return !image || image->bytes.size() == version.engine().state_bytes();
}

}  // namespace

std::string definition_of(const LearningVersion& version) {
  return fmt::format("{:016x}", version.definition());
}

Result<StatesAre> states_of(const store::Store& store, const LearningVersion& version) {
  QW_ASSIGN(const auto low_waters, store::stored_low_waters(store, version.owner()));
  if (low_waters.empty()) return StatesAre::kNobodys;
  QW_ASSIGN(const auto stored, store.get_meta(store::meta::definition(version.owner())));
  if (stored) return *stored == definition_of(version) ? StatesAre::kOurs : StatesAre::kAnothers;
  for (const auto& [stream, low] : low_waters) {
    QW_ASSIGN(const bool fit, are_of_size(store, version, stream));
    if (!fit) return StatesAre::kAnothers;
  }
  return StatesAre::kOurs;
}

}  // namespace qw::serve
