// How the API writes numbers and texts.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace qw::app {

// Keys keep the order of docs/reference/api.md.
using Json = nlohmann::ordered_json;

// Not known, not finite: null.
inline Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

// With six significant digits: enough to draw, and half the bytes.
inline Json rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0.0;
  const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::fabs(value))));
  const double near = std::round(value * scale) / scale;
  return std::isfinite(near) ? near : value;
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

inline Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

// Foreign bytes (process names, user data) must not make an answer invalid.
inline std::string written(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace qw::app
