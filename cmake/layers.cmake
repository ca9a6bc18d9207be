# qw_layer(NAME SOURCES a.cpp ... LINK targets ... PRIVATE_LINK targets ... TESTS a_test.cpp ... TEST_LINK targets ...
#          NEEDS kafka redis)
# One static library qw_<NAME> per folder of src/, and one unit test program qw_<NAME>_tests beside it.
# LINK lists only what tools/layers.txt allows; includes are written from src/ ("base/result.h").
function(qw_layer NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK;TESTS;TEST_LINK;NEEDS" ${ARGN})
  add_library(qw_${NAME} STATIC ${ARG_SOURCES})
  target_include_directories(qw_${NAME} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(qw_${NAME} PUBLIC ${ARG_LINK} PRIVATE qw_warnings ${ARG_PRIVATE_LINK})
  if(ARG_TESTS)
    qw_test(${NAME} LABEL unit SOURCES ${ARG_TESTS} LINK qw_${NAME} ${ARG_TEST_LINK} NEEDS ${ARG_NEEDS})
  endif()
endfunction()
