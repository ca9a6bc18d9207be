# The page: built from ui/ with npm, embedded as the library qw_page (src/app/page/assets.h).
# npm runs only when a file of ui/ has changed; the built page lies in the build folder.
set(ui ${PROJECT_SOURCE_DIR}/ui)
find_program(NPM npm)
if(NOT NPM)
  message(FATAL_ERROR "npm is missing, which builds the page. To mend it: ./dev setup")
endif()
file(GLOB_RECURSE page_sources CONFIGURE_DEPENDS ${ui}/src/* ${ui}/public/*)
set(page_dist ${PROJECT_BINARY_DIR}/ui/dist)
# `npm install --no-save` keeps to the versions and hashes of package-lock.json as `npm ci` does, but does not insist on
# the bundler's binaries for other systems, which not every mirror carries and this build never uses.
set(page_installed ${ui}/node_modules/.quickwater-installed)
add_custom_command(
  OUTPUT ${page_installed}
  COMMAND ${NPM} install --no-save --no-audit --no-fund --loglevel=error
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
qw_script_test(page_types LABEL page BUILDS qw_page COMMAND ${ui}/node_modules/.bin/tsc --noEmit -p ${ui})
# Chromium is found by the test run; the page's tests look for it in CHROMIUM.
qw_script_test(page LABEL page BUILDS qw_page NEEDS chromium TIMEOUT_S 600
  COMMAND bash -c "export CHROMIUM=\$QUICKWATER_CHROMIUM && exec node '${ui}/test/run.mjs' unit contract page")
