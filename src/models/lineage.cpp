#include "models/lineage.h"

#include <nlohmann/json.hpp>

namespace qw::models {

LineageFacts lineage_facts(const std::string& text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  LineageFacts facts;
  if (!parsed.is_object()) return facts;
  const auto read = [&](const char* name) {
    const auto found = parsed.find(name);
    return found != parsed.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  facts.run_id = read("run_id");
  facts.then = read("then");
  return facts;
}

}  // namespace qw::models
