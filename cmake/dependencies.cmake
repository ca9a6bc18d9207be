# Third-party libraries: Debian packages (tools/packages/*.txt) and the native libraries that `./dev setup`
# fetches into .deps/ (tools/native.json). One line each, sorted; the libraries without a CMake package below.
find_package(Boost 1.81 REQUIRED)       # Boost::headers (Asio, Beast): see qw_asio below
find_package(CLI11 REQUIRED)            # CLI11::CLI11
find_package(Eigen3 REQUIRED NO_MODULE) # Eigen3::Eigen
find_package(OpenSSL REQUIRED)          # OpenSSL::SSL OpenSSL::Crypto
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)         # protobuf::libprotobuf protobuf::protoc
find_package(RocksDB REQUIRED)          # RocksDB::rocksdb-shared
find_package(SQLite3 REQUIRED)          # SQLite::SQLite3
find_package(Threads REQUIRED)          # Threads::Threads
find_package(ZLIB REQUIRED)             # ZLIB::ZLIB
find_package(absl REQUIRED)             # absl::time
find_package(fmt REQUIRED)              # fmt::fmt
find_package(gRPC REQUIRED)             # gRPC::grpc++
find_package(nlohmann_json REQUIRED)    # nlohmann_json::nlohmann_json
find_package(simdjson REQUIRED)         # simdjson::simdjson
find_package(yaml-cpp REQUIRED)         # yaml-cpp
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)  # PkgConfig::HIREDIS
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)       # PkgConfig::LZ4
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka)  # PkgConfig::RDKAFKA (the C API)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)          # PkgConfig::RE2
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash) # PkgConfig::XXHASH
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)     # PkgConfig::ZSTD
if(QW_TESTS)
  find_package(GTest REQUIRED)          # GTest::gtest_main GTest::gmock
endif()
