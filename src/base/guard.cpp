#include "base/guard.h"

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace qw {
namespace {

Error refused(int number, const std::string& what, std::string_view where) {
  const auto error = [&](ErrorCode code, const char* how_to_mend) {
    return Error{code, "the machine refused: " + what, std::string(where), how_to_mend};
  };
  switch (number) {
    case EAGAIN:
      return error(ErrorCode::kExhausted,
                   "allow more processes and threads (ulimit -u, the cgroup's pids.max)");
    case EMFILE:
    case ENFILE: return error(ErrorCode::kExhausted, "allow more open files (ulimit -n)");
    case ENOMEM: return error(ErrorCode::kExhausted, "give the process more memory");
    case EFBIG: return error(ErrorCode::kExhausted, "allow larger files (ulimit -f)");
    case ENOSPC:
    case EDQUOT: return error(ErrorCode::kExhausted, "free some disk space");
    default: return error(ErrorCode::kIo, "");
  }
}

// Libraries with exceptions of their own say in words what the machine said in numbers.
Error told(const std::string& what, std::string_view where) {
  constexpr struct {
    std::string_view words;
    int number;
  } kKnown[] = {{"No space left on device", ENOSPC}, {"Disk quota exceeded", EDQUOT},
                {"File too large", EFBIG},           {"Too many open files", EMFILE},
                {"Cannot allocate memory", ENOMEM},  {"Out of Memory", ENOMEM},
                {"temporarily unavailable", EAGAIN}};
  for (const auto& known : kKnown)
    if (what.find(known.words) != std::string::npos) return refused(known.number, what, where);
  return {ErrorCode::kInternal, what, std::string(where), ""};
}

}  // namespace

Error caught(std::string_view where) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kExhausted, "there is no more memory", std::string(where),
            "give the process more memory, or lower what it keeps"};
  } catch (const std::system_error& error) {
    return refused(error.code().value(), error.what(), where);
  } catch (const boost::system::system_error& error) {
    return refused(error.code().value(), error.what(), where);
  } catch (const std::exception& error) {
    return told(error.what(), where);
  } catch (...) {
    return {ErrorCode::kInternal, "an exception without a name", std::string(where), ""};
  }
}

}  // namespace qw
