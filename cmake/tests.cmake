# Test programs, as `./dev test` runs them. It reads this list from CTest, so one call here is all a suite needs.
#
# qw_test(NAME LABEL unit SOURCES a_test.cpp ... LINK targets ... [NEEDS kafka redis] [TIMEOUT_S 120] [SERIAL])
#   A GoogleTest program qw_<NAME>_tests.
# qw_script_test(NAME LABEL page COMMAND python3 x.py ... [BUILDS targets ...] [NEEDS ...] [TIMEOUT_S 120] [SERIAL])
#   Any other program; BUILDS names the targets it uses. Exit code 0 passes, 77 skips (the last line of output is the
#   reason), others fail. It counts as one case unless the last line of its output reads
#   "N passed, N failed, N skipped" (lines "SKIP: reason" before it say why), or it is a run of Node's test runner.
#
# LABEL   tidy (before anything is built), unit (also run under AddressSanitizer), case, compat, kill, sim, fuzz, page, cli, toolchain;
#         long, mutants: only by hand, by ./dev test --long and --mutants
# NEEDS   engines, started once for all suites: kafka sets QUICKWATER_KAFKA=host:port, redis QUICKWATER_REDIS,
#         prometheus QUICKWATER_PROMETHEUS, alertmanager QUICKWATER_ALERTMANAGER, chromium QUICKWATER_CHROMIUM (a path).
#         Where an engine cannot start, the variable is unset: the test skips with its reason, and CI fails.
# SERIAL  runs alone, after the others: for tests that measure or use the whole machine.
# Every suite has QUICKWATER_SOURCE_DIR and QUICKWATER_BUILD_DIR; QUICKWATER_DATA is passed through where it is set.
set(QW_TEST_LABELS tidy unit case compat kill sim fuzz page cli toolchain long mutants)

function(qw_test_register NAME KIND)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT_S" "NEEDS;BUILDS;COMMAND" ${ARGN})
  if(NOT ARG_LABEL IN_LIST QW_TEST_LABELS)
    message(FATAL_ERROR "test ${NAME}: label '${ARG_LABEL}' is none of ${QW_TEST_LABELS}")
  endif()
  if(NOT ARG_TIMEOUT_S)
    set(ARG_TIMEOUT_S 300)
  endif()
  set(labels ${ARG_LABEL} kind:${KIND})
  foreach(need ${ARG_NEEDS})
    list(APPEND labels needs:${need})
  endforeach()
  foreach(target ${ARG_BUILDS})
    list(APPEND labels builds:${target})
  endforeach()
  add_test(NAME ${NAME} COMMAND ${ARG_COMMAND} WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(${NAME} PROPERTIES
    LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT_S} RUN_SERIAL ${ARG_SERIAL} SKIP_RETURN_CODE 77
    ENVIRONMENT "QUICKWATER_SOURCE_DIR=${PROJECT_SOURCE_DIR};QUICKWATER_BUILD_DIR=${PROJECT_BINARY_DIR}")
endfunction()

function(qw_test NAME)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT_S" "SOURCES;LINK;NEEDS" ${ARGN})
  if(NOT QW_TESTS)
    return()
  endif()
  add_executable(qw_${NAME}_tests ${ARG_SOURCES})
  target_include_directories(qw_${NAME}_tests PRIVATE ${PROJECT_SOURCE_DIR}/src)
  set(serial)
  if(ARG_SERIAL)
    set(serial SERIAL)
  endif()
  target_link_libraries(qw_${NAME}_tests PRIVATE ${ARG_LINK} qw_warnings GTest::gmock GTest::gtest_main)
  qw_test_register(${NAME} gtest LABEL ${ARG_LABEL} TIMEOUT_S ${ARG_TIMEOUT_S} NEEDS ${ARG_NEEDS}
                   BUILDS qw_${NAME}_tests ${serial} COMMAND qw_${NAME}_tests)
  if(NOT TARGET qw_all_${ARG_LABEL}_tests)
    add_custom_target(qw_all_${ARG_LABEL}_tests)
  endif()
  add_dependencies(qw_all_${ARG_LABEL}_tests qw_${NAME}_tests)
endfunction()

function(qw_script_test NAME)
  if(QW_TESTS)
    qw_test_register(${NAME} script ${ARGN})
  endif()
endfunction()
