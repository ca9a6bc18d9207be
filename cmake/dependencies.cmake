# System packages (see tools/packages/*.txt) and native libraries that `./dev setup` puts into .deps/.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(GTest REQUIRED)
find_package(nlohmann_json REQUIRED)
