// The settings table's rows, in two halves that settings.cpp joins.
#pragma once

#include <span>

#include "schema/settings.h"

namespace qw::schema::internal {

std::span<const Setting> input_rows();   // the app itself, sources, features
std::span<const Setting> output_rows();  // models, decisions, monitors, training, demo

}  // namespace qw::schema::internal
