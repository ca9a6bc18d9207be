// Structured log lines on standard error: time, level, part, message. Never pass a secret.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace qw::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Lines below this level are dropped. Process-wide; set once at start.
void set_level(Level level);
bool enabled(Level level);

// Writes one line; safe from any thread. `part` names the writer: "store", "source.host".
void write(Level level, std::string_view part, std::string_view message);

template <class... Args>
void debug(std::string_view part, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, part, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view part, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kInfo))
    write(Level::kInfo, part, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warning(std::string_view part, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kWarning))
    write(Level::kWarning, part, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view part, fmt::format_string<Args...> text, Args&&... args) {
  if (enabled(Level::kError))
    write(Level::kError, part, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace qw::log
