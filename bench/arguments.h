// The command line of a benchmark.
#pragma once

#include <charconv>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace qw::bench {

// Options by name, each bound to a variable that keeps its value when the option is not given. Not
// thread safe; the variables outlive it.
class Arguments {
 public:
  explicit Arguments(std::string program) : usage_("usage: " + std::move(program)) {}

  void flag(std::string_view name, bool& into) {
    usage_ += " [" + std::string(name) + "]";
    options_.push_back(
        {std::string(name), false, [&into](std::string_view) { return into = true; }});
  }
  // A positive number, or any text that is not empty; `what` stands for it in the usage.
  template <class T>
  void value(std::string_view name, std::string_view what, T& into) {
    usage_ += " [" + std::string(name) + " " + std::string(what) + "]";
    options_.push_back({std::string(name), true, [&into](std::string_view text) {
                          if constexpr (std::is_same_v<T, std::string>) {
                            into = text;
                            return !text.empty();
                          } else {
                            const auto [end, error] =
                                std::from_chars(text.data(), text.data() + text.size(), into);
                            return error == std::errc{} && end == text.data() + text.size() &&
                                   into > 0;
                          }
                        }});
  }

  // False, and the usage on the error stream, when a word is not an option or a value does not fit.
  bool read(int count, char** words) const {
    for (int at = 1; at < count; ++at) {
      const Option* option = find(words[at]);
      const bool has_value = option != nullptr && option->takes_value;
      if (option == nullptr || (has_value && at + 1 == count) ||
          !option->set(has_value ? words[++at] : "")) {
        std::fprintf(stderr, "%s\n", usage_.c_str());
        return false;
      }
    }
    return true;
  }

 private:
  struct Option {
    std::string name;
    bool takes_value = false;
    std::function<bool(std::string_view)> set;  // false: the value does not fit
  };
  const Option* find(std::string_view name) const {
    for (const Option& option : options_)
      if (option.name == name) return &option;
    return nullptr;
  }

  std::string usage_;
  std::vector<Option> options_;
};

}  // namespace qw::bench
