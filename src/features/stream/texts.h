// The texts that the events of one key hold, each once.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "features/stream/key_state.h"

namespace qw::features {

// Numbers for texts, counted by use. A freed number keeps its bytes until it is given again, so
// stored positions stay.
struct KeyState::Texts {
  std::vector<uint32_t> slots;  // the arguments that are text
  std::vector<std::unique_ptr<std::string>> by_id;
  std::vector<uint32_t> uses;
  std::vector<uint32_t> free_ids;
  std::unordered_map<std::string_view, uint32_t> ids;
  size_t bytes = 0;  // approximate

  static size_t bytes_of(const std::string& text) { return 64 + text.capacity(); }
  void append(std::string_view text, uint32_t used) {
    by_id.push_back(std::make_unique<std::string>(text));
    uses.push_back(used);
    bytes += bytes_of(*by_id.back());
  }

  int64_t take(std::string_view text) {
    if (const auto found = ids.find(text); found != ids.end()) {
      if (uses[found->second]++ == 0) std::erase(free_ids, found->second);  // back in use
      return found->second;
    }
    uint32_t id = 0;
    if (free_ids.empty()) {
      id = static_cast<uint32_t>(by_id.size());
      append(text, 1);
    } else {
      id = free_ids.back();
      free_ids.pop_back();
      ids.erase(*by_id[id]);
      bytes -= bytes_of(*by_id[id]);
      *by_id[id] = std::string(text);
      bytes += bytes_of(*by_id[id]);
      uses[id] = 1;
    }
    ids.emplace(*by_id[id], id);
    return id;
  }
  void release(int64_t id) {
    const auto index = static_cast<uint32_t>(id);
    if (--uses[index] == 0) free_ids.push_back(index);
  }
  std::string_view at(int64_t id) const { return *by_id[static_cast<size_t>(id)]; }
};

}  // namespace qw::features
