// What is wrong with an application file, all of it at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/app_file.h"
#include "base/result.h"

namespace qw::app {

enum class Gravity : uint8_t { kError, kWarning, kNote };
std::string_view name_of(Gravity gravity);  // "error"

// One finding. `code` is stable, for programs: unknown_key, wrong_type, ...
struct Problem {
  Gravity gravity = Gravity::kError;
  std::string code;
  Place place;
  std::string message;
  std::string how_to_mend;
};

// Collects findings while reading; one per place and message. Not for concurrent use.
class Problems {
 public:
  static constexpr size_t kMost = 50;

  void add(Gravity gravity, std::string code, Place place, std::string message,
           std::string how_to_mend = {});
  void error(std::string code, Place place, std::string message, std::string how_to_mend = {}) {
    add(Gravity::kError, std::move(code), place, std::move(message), std::move(how_to_mend));
  }
  bool any_error() const { return errors_ > 0; }
  size_t errors() const { return errors_; }
  bool has(std::string_view code) const;
  // In the order of the file; at most kMost, errors before the rest when cut.
  std::vector<Problem> take_sorted();

 private:
  std::vector<Problem> all_;
  size_t errors_ = 0;
};

// "app.yaml:12:7: error: message\n    how to mend\n"
std::string to_text(const Problem& problem, std::string_view path);

}  // namespace qw::app
