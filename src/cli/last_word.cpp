#include "cli/last_word.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/crash_watch.h"
#include "base/guard.h"
#include "base/log.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

std::atomic<bool> speaking{false};

void say_last(const char* message, const char* how_to_mend) {
  std::array<char, 512> line{};
  const int size = std::snprintf(line.data(), line.size(), "quickwater: %s%s%s%s\n", message,
                                 *how_to_mend == '\0' ? "" : " (how to mend: ", how_to_mend,
                                 *how_to_mend == '\0' ? "" : ")");
  if (size > 0) log::last_word({line.data(), std::min(static_cast<size_t>(size), line.size() - 1)});
}

[[noreturn]] void on_terminate() {
  if (speaking.exchange(true)) ::_exit(kMachine);  // nothing left even to say it
  if (std::current_exception() == nullptr) std::abort();
  try {
    std::rethrow_exception(std::current_exception());
  } catch (...) {
    const Error error = caught("");
    say_last(error.message.c_str(), error.how_to_mend.c_str());
    if (exit_code_of(error.code) != kMachine) std::abort();
  }
  trace_work_in_hand();
  ::_exit(kMachine);
}

}  // namespace

void speak_before_terminate() {
  log::flush();  // makes what last_word() needs, while there is memory
  std::set_terminate(on_terminate);
}

}  // namespace qw::cli
