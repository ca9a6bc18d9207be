// The load of an incident as a program of its own, as the `incident` command runs it; for tests.
#include <charconv>
#include <cstdio>
#include <string_view>

#include "app/incident/load.h"

namespace {

template <class Number>
Number number_of(std::string_view text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  qw::app::IncidentLoad load;
  const auto kind = qw::app::parse_incident_kind(arguments[1]);
  if (!kind.ok()) return 2;
  load.kind = *kind;
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string_view name = arguments[i];
    const std::string_view value = arguments[i + 1];
    if (name == "--seconds") load.seconds = number_of<int>(value);
    if (name == "--threads") load.threads = number_of<int>(value);
    if (name == "--with-parent") load.parent_pid = number_of<int>(value);
    if (name == "--memory-bytes") load.memory_bytes = number_of<uint64_t>(value);
    if (name == "--folder") load.folder = value;
  }
  const auto done = qw::app::run_incident_load(load, qw::real_clock());
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.error().to_string().c_str());
  return done.ok() ? 0 : 1;
}
