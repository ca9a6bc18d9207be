// A text that may be secret: usable, never printable.
#pragma once

#include <fmt/format.h>

#include <ostream>
#include <string>
#include <utility>

namespace qw::schema {

// A value that came from `${VAR}`, from `file:PATH`, or was written into a setting that is secret
// by nature. Everything that prints it (fmt, streams, test failures) shows how it was written,
// never what it is; only reveal() gives the value, and its callers hand it straight to the peer
// that needs it. Deliberately without conversion to std::string and without comparison with one. A
// value; copies are independent. Safe to read from any thread.
class Secret {
 public:
  Secret() = default;
  // `shown` is what people may see: "${KAFKA}", "file:token.txt", "http://host/x" or "***".
  Secret(std::string value, std::string shown)
      : value_(std::move(value)), shown_(std::move(shown)) {}

  // For tests and for values made by the program itself: nothing to hide.
  static Secret open(std::string text) {
    std::string shown = text;
    return {std::move(text), std::move(shown)};
  }

  const std::string& reveal() const { return value_; }
  const std::string& shown() const { return shown_; }
  bool empty() const { return value_.empty(); }

  friend std::ostream& operator<<(std::ostream& out, const Secret& secret) {
    return out << secret.shown_;
  }

 private:
  std::string value_;
  std::string shown_;
};

}  // namespace qw::schema

template <>
struct fmt::formatter<qw::schema::Secret> : fmt::formatter<std::string_view> {
  template <class Context>
  auto format(const qw::schema::Secret& secret, Context& context) const {
    return fmt::formatter<std::string_view>::format(secret.shown(), context);
  }
};
