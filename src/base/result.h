// Result<T>: how every fallible call answers. No exceptions cross a layer.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace qw {

// What kind of trouble it is; callers branch on this, people read the message.
enum class ErrorCode {
  kBadInput,     // the caller's data or file is wrong
  kNotFound,     // the named thing does not exist (an ordinary outcome)
  kConflict,     // exists already, or somebody else holds it
  kExhausted,    // a stated limit is reached (queue, memory, disk)
  kTimeout,      // a deadline passed
  kUnavailable,  // a peer (broker, registry, receiver) is away; trying again may help
  kCorrupt,      // stored bytes fail their check
  kIo,           // the operating system refused a read or write
  kUnsupported,  // a valid wish that this build or engine cannot meet
  kInternal,     // a bug of ours that was caught
};

std::string_view name_of(ErrorCode code);

// An error a person can act on: what happened, where, and how to mend it.
// `where` is file:line:column, a source name, a path or an address; `how_to_mend` may be empty.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string where;
  std::string how_to_mend;

  // "where: message (how to mend: ...)"
  std::string to_string() const;
};

namespace internal {
[[noreturn]] void die(const char* file, int line, const char* condition, const std::string& detail);
}  // namespace internal

// Stops the process when an invariant of ours is broken; never used for bad input.
#define QW_ASSERT(condition)                                   \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::qw::internal::die(__FILE__, __LINE__, #condition, {}); \
  } while (false)

// A value of T or an Error. Owns either. Reading the absent one is a broken invariant and stops the
// process.
template <class T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    require_value();
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    require_value();
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    require_value();
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    QW_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    QW_ASSERT(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

  T value_or(T other) const& { return ok() ? value() : std::move(other); }

 private:
  void require_value() const {
    if (!ok()) [[unlikely]]
      internal::die(__FILE__, __LINE__, "Result holds a value", error().to_string());
  }
  std::variant<T, Error> state_;
};

// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    QW_ASSERT(!ok());
    return *error_;
  }
  Error&& error() && {
    QW_ASSERT(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

// QW_TRY(expression): returns the error to the caller, or goes on.
#define QW_TRY(expression)                                             \
  do {                                                                 \
    if (auto qw_result_ = (expression); !qw_result_.ok()) [[unlikely]] \
      return std::move(qw_result_).error();                            \
  } while (false)

// QW_ASSIGN(auto x, expression): declares x with the value, or returns the error to the caller.
#define QW_ASSIGN(declaration, expression) \
  QW_ASSIGN_WITH_NAME_(QW_JOIN_(qw_result_, __LINE__), declaration, expression)
#define QW_ASSIGN_WITH_NAME_(name, declaration, expression) \
  auto name = (expression);                                 \
  if (!name.ok()) [[unlikely]]                              \
    return std::move(name).error();                         \
  declaration = std::move(name).value()
#define QW_JOIN_(a, b) QW_JOIN_TOKENS_(a, b)
#define QW_JOIN_TOKENS_(a, b) a##b

}  // namespace qw
