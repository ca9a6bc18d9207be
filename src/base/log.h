// Structured log lines on standard error: time, level, part, message. Never pass a secret.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace qw::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// Lines below this level are dropped. Process-wide; set once at start.
void set_level(Level level);
bool enabled(Level level);

// Writes one line; safe from any thread. `part` names the writer: "store", "source.host". Never
// waits for whoever reads standard error: what cannot go waits, up to kBacklogBytes, and beyond
// that lines are dropped and counted.
constexpr size_t kBacklogBytes = 256u << 10;
void write(Level level, std::string_view part, std::string_view message);
// Tries to write what waits; called now and then where lines are rare.
void flush();
// The same, for so long, before the process ends.
void drain(int limit_ms);
// Lines that nobody could be given, since the process began.
uint64_t dropped();
// One line from a signal's handler, or when nothing else can be relied on.
void last_word(std::string_view line) noexcept;

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
