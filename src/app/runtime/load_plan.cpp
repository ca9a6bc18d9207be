#include "app/runtime/load_plan.h"

#include <utility>

namespace qw::app {

Loading load_plan(const std::string& path, const ReadOptions& options) {
  Reading reading = read_app_file(path, options);
  if (!reading.app) return {nullptr, std::move(reading.problems), reading.errors};
  Problems problems;
  for (Problem& known : reading.problems)
    problems.add(known.gravity, std::move(known.code), known.place, std::move(known.message),
                 std::move(known.how_to_mend));
  auto plan = compile_plan(std::move(*reading.app), &problems);
  Loading loading;
  if (plan.ok()) loading.plan = std::move(plan).value();
  loading.errors = problems.errors();
  loading.problems = problems.take_sorted();
  return loading;
}

}  // namespace qw::app
