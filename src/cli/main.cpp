// The program. Every command is in its own file; commands.cpp lists them.
#include <iostream>
#include <string>
#include <vector>

#include "base/fail_point.h"
#include "base/log.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "cli/last_word.h"

int main(int argc, char** argv) {
  qw::hold_standard_streams();
  qw::soften_limits();
  qw::cli::speak_before_terminate();
  qw::arm_fail_points_from_environment();
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const int code = qw::cli::run(arguments, {std::cout, std::cerr});
  qw::log::drain(500);
  return code;
}
