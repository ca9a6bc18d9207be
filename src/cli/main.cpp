// The program. Every command is in its own file; commands.cpp lists them.
#include <iostream>
#include <string>
#include <vector>

#include "base/fail_point.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  qw::arm_fail_points_from_environment();
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return qw::cli::run(arguments, {std::cout, std::cerr});
}
