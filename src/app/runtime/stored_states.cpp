#include "app/runtime/stored_states.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "store/commit/meta_names.h"

namespace qw::app {
namespace {

template <class Number>
bool read_number(std::string_view text, Number& number) {
  return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc{};
}

Error damaged(const store::Store& store, const std::string& name) {
  return {ErrorCode::kCorrupt, fmt::format("the setting '{}' is damaged", name), store.folder(),
          "restore the data folder from a copy"};
}

Result<bool> are_of_size(const store::Store& store, const serve::LearningVersion& version,
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

std::string definition_of(const serve::LearningVersion& version) {
  return fmt::format("{:016x}", version.definition());
}

Result<Seq> stored_low_water(const store::Store& store, const std::string& owner,
                             PartitionId partition) {
  const std::string name = store::meta::low_water(owner, partition);
  QW_ASSIGN(const auto value, store.get_meta(name));
  uint64_t seq = 0;
  if (value && !read_number(*value, seq)) return damaged(store, name);
  return Seq{seq};
}

Result<std::map<PartitionId, Seq>> stored_low_waters(const store::Store& store,
                                                     const std::string& owner) {
  std::map<PartitionId, Seq> all;
  std::optional<Error> trouble;
  const std::string low_waters = store::meta::low_waters_of(owner);
  QW_TRY(store.scan_meta(low_waters, [&](std::string_view name, std::string_view value) {
    const auto low = store::meta::parse_low_water(name);
    uint64_t seq = 0;
    if (low && read_number(value, seq))
      all[low->partition] = Seq{seq};
    else
      trouble = damaged(store, std::string(name));
    return !trouble;
  }));
  if (trouble) return *trouble;
  return all;
}

Result<StatesAre> states_of(const store::Store& store, const serve::LearningVersion& version) {
  QW_ASSIGN(const auto low_waters, stored_low_waters(store, version.owner()));
  if (low_waters.empty()) return StatesAre::kNobodys;
  QW_ASSIGN(const auto stored, store.get_meta(store::meta::definition(version.owner())));
  if (stored) return *stored == definition_of(version) ? StatesAre::kOurs : StatesAre::kAnothers;
  for (const auto& [stream, low] : low_waters) {
    QW_ASSIGN(const bool fit, are_of_size(store, version, stream));
    if (!fit) return StatesAre::kAnothers;
  }
  return StatesAre::kOurs;
}

}  // namespace qw::app
