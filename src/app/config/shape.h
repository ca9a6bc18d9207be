// Does the file have the shape the settings table says? Keys, kinds, ranges; no meaning yet.
#pragma once

#include "app/config/problems.h"
#include "app/config/yaml_tree.h"
#include "schema/settings.h"

namespace qw::app {

// Reports every unknown, missing and misplaced key and every value of the wrong kind.
void check_shape(const YamlNode& root, Problems& problems);

// One value by itself: its kind, names, range and choices. kBadInput without a place.
Result<void> check_scalar(const schema::Setting& setting, const std::string& text);

// True for a text with ${NAME} in it.
bool mentions_variable(std::string_view text);

}  // namespace qw::app
