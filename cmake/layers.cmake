# qw_layer(NAME SOURCES a.cpp ... LINK targets ... TESTS a_test.cpp ...)
# One static library qw_<NAME> per folder of src/, and one test program qw_<NAME>_tests beside it.
# LINK lists only what tools/layers.txt allows; includes are written from src/ ("base/result.h").
function(qw_layer NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK;TESTS;TEST_LINK" ${ARGN})
  add_library(qw_${NAME} STATIC ${ARG_SOURCES})
  target_include_directories(qw_${NAME} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(qw_${NAME} PUBLIC ${ARG_LINK} PRIVATE qw_warnings ${ARG_PRIVATE_LINK})
  if(ARG_TESTS)
    add_executable(qw_${NAME}_tests ${ARG_TESTS})
    target_link_libraries(qw_${NAME}_tests PRIVATE qw_${NAME} qw_warnings GTest::gmock GTest::gtest_main
                                                   ${ARG_TEST_LINK})
    add_test(NAME ${NAME} COMMAND qw_${NAME}_tests)
  endif()
endfunction()
