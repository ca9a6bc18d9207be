// What a library throws becomes an Error at the edge of our own code.
#pragma once

#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace qw {

// The exception in flight, as an Error: kExhausted when memory, threads, descriptors or space
// ended, kIo when the machine refused otherwise, kInternal for everything else. Inside a catch
// block only.
Error caught(std::string_view where);

// What guarded() answers with for work that answers with T. No object is ever made.
template <class T>
struct Guarded {
  using Type = Result<T>;
};
// The same, of work that may fail.
template <class T>
struct Guarded<Result<T>> {
  using Type = Result<T>;
};

// Runs `work`; its answer, or what it threw. A thread's outermost call goes through here: an
// exception that leaves a thread would end the process.
template <class Work>
auto guarded(std::string_view where, Work&& work) ->
    typename Guarded<std::invoke_result_t<Work&>>::Type {
  using Answer = typename Guarded<std::invoke_result_t<Work&>>::Type;
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
      work();
      return Answer();
    } else {
      return Answer(work());
    }
  } catch (...) {
    return Answer(caught(where));
  }
}

}  // namespace qw
