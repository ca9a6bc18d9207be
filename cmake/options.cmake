# Compiler settings that every target shares: C++20, warnings as errors, optimised with assertions kept.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(QW_TESTS "Build the tests" ON)
option(QW_ASAN "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(QW_TSAN "Build with ThreadSanitizer" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# Assertions stay on in release builds: a broken invariant must stop the process, not corrupt its state.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")

find_program(CCACHE ccache)
if(CCACHE)
  # Paths below the checkout count as relative, so that a second checkout finds what the first one compiled.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(qw_warnings INTERFACE)
target_compile_options(qw_warnings INTERFACE -Wall -Wextra -Wconversion -Werror)
if(QW_ASAN OR QW_TSAN)
  # GCC 12 takes the sanitizers' own moves of std::variant for uninitialised reads.
  add_compile_options(-Wno-maybe-uninitialized)
endif()
if(QW_ASAN)
  # -O1, and no checks for null and vptr (AddressSanitizer stops at a null anyway): a file with Beast compiles in a
  # third of the time that -O2 and all checks take.
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=null,vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(QW_TSAN)
  # Asio's fences, which ThreadSanitizer does not follow, stand beside locks that it does.
  add_compile_options(-Wno-tsan)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1 -g1")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
