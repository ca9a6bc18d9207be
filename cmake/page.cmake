# The page: built from ui/ with npm, embedded as the library qw_page (src/app/page/assets.h).
# npm runs only when a file of ui/ has changed; the built page lies in the build folder.
set(ui ${PROJECT_SOURCE_DIR}/ui)
find_program(NPM npm)
find_program(NODE NAMES node nodejs)
if(NOT NPM OR NOT NODE)
  message(FATAL_ERROR "npm or node is missing, which build the page. To mend it: ./dev setup")
endif()
file(GLOB_RECURSE page_sources CONFIGURE_DEPENDS ${ui}/src/* ${ui}/public/*)
set(page_dist ${PROJECT_BINARY_DIR}/ui/dist)
set(page_installed ${ui}/node_modules/.quickwater-installed)
add_custom_command(
  OUTPUT ${page_installed}
  COMMAND ${NPM} ci --no-audit --no-fund --loglevel=error
  COMMAND ${CMAKE_COMMAND} -E touch ${page_installed}
  DEPENDS ${ui}/package.json ${ui}/package-lock.json
  WORKING_DIRECTORY ${ui} COMMENT "Installing the page's build tools" VERBATIM)
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/ui/page_assets.cpp
  COMMAND ${ui}/node_modules/.bin/vite build --logLevel warn --outDir ${page_dist} --emptyOutDir
  COMMAND ${CMAKE_COMMAND} -DDIST=${page_dist} -DOUT=${PROJECT_BINARY_DIR}/ui/page_assets.cpp
          -P ${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake
  DEPENDS ${page_installed} ${page_sources} ${ui}/index.html ${ui}/vite.config.ts ${ui}/tsconfig.json
          ${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake
  WORKING_DIRECTORY ${ui} COMMENT "Building the page" VERBATIM)
add_library(qw_page STATIC ${PROJECT_BINARY_DIR}/ui/page_assets.cpp)
target_include_directories(qw_page PUBLIC ${PROJECT_SOURCE_DIR}/src)

qw_test(page_assets LABEL page SOURCES ${PROJECT_SOURCE_DIR}/src/app/page/assets_test.cpp LINK qw_page)
if(QW_TESTS)
  target_compile_definitions(qw_page_assets_tests PRIVATE QW_PAGE_DIST="${page_dist}")
endif()
# Types, units, the API's contract, and the page in a real Chromium against the mock server.
qw_script_test(page LABEL page BUILDS qw_page NEEDS chromium TIMEOUT_S 600
  COMMAND ${CMAKE_COMMAND} -E env QUICKWATER_PAGE_DIST=${page_dist} ${NODE} ${ui}/test/run.mjs types unit contract page)
# The page before the real program.
qw_script_test(page_live LABEL page BUILDS quickwater NEEDS chromium TIMEOUT_S 300
  COMMAND ${CMAKE_COMMAND} -E env QUICKWATER_PROGRAM=$<TARGET_FILE:quickwater> ${NODE} ${ui}/test/run.mjs live)
