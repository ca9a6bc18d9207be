# Native libraries that `./dev setup` fetched (tools/native.json), and the one Asio that all layers share.
set(QW_DEPS ${PROJECT_SOURCE_DIR}/.deps CACHE PATH "Folder of the fetched native libraries")
if(NOT EXISTS ${QW_DEPS}/lib/libduckdb.so OR NOT EXISTS ${QW_DEPS}/lib/libonnxruntime.so.1.28.0)
  message(FATAL_ERROR "${QW_DEPS} lacks the native libraries. To mend it: ./dev setup")
endif()

# DuckDB, C API: #include "duckdb.h"
add_library(duckdb::duckdb SHARED IMPORTED)
set_target_properties(duckdb::duckdb PROPERTIES
  IMPORTED_LOCATION ${QW_DEPS}/lib/libduckdb.so
  IMPORTED_NO_SONAME ON
  INTERFACE_INCLUDE_DIRECTORIES ${QW_DEPS}/include/duckdb)

# ONNX Runtime: #include "onnxruntime_cxx_api.h". The library is opened with dlopen(QW_ONNXRUNTIME_LIBRARY) and
# handed to Ort::InitApi(): a process without an ONNX model never maps it, its symbol versions do not tie the
# binary to one release, and ORT_DISABLE_TELEMETRY=1 can be set before its constructors run.
add_library(onnxruntime::onnxruntime INTERFACE IMPORTED)
set_target_properties(onnxruntime::onnxruntime PROPERTIES
  INTERFACE_COMPILE_DEFINITIONS "ORT_API_MANUAL_INIT;QW_ONNXRUNTIME_LIBRARY=\"libonnxruntime.so.1.28.0\""
  INTERFACE_INCLUDE_DIRECTORIES ${QW_DEPS}/include/onnxruntime
  INTERFACE_LINK_OPTIONS "LINKER:-rpath,${QW_DEPS}/lib"
  INTERFACE_LINK_LIBRARIES "${CMAKE_DL_LIBS}")

# Apache DataSketches, headers only: #include "kll_sketch.hpp", "hll.hpp", "theta_sketch.hpp", ...
add_library(datasketches::datasketches INTERFACE IMPORTED)
set_target_properties(datasketches::datasketches PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES ${QW_DEPS}/include/datasketches)

# Asio and Beast with their function bodies compiled once, in cmake/asio.cpp: a file that includes Beast compiles
# in two thirds of the time. Whoever includes Asio or Beast links qw_asio, never Boost::headers alone.
add_library(qw_asio STATIC ${PROJECT_SOURCE_DIR}/cmake/asio.cpp)
target_compile_definitions(qw_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
                                          BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(qw_asio PUBLIC Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
