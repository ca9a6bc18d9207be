// A model package: a versioned folder that holds everything needed to serve one model version.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::models {

// What a package says. The JSON texts are objects, kept as text so that a package survives fields
// that this version does not know. A value; make it with the trainer or read_package().
struct Package {
  std::string model;            // "anomaly"
  int64_t version = 0;          // 1 and up, given by the registry
  std::string kind;             // a name of the engines' list: "ensemble"
  int64_t created_us = 0;       // microseconds since 1970 UTC
  std::string settings = "{}";  // the artefact of a detector: every setting with its value
  std::string inputs = "{}";    // input name -> type
  std::string metrics = "{}";   // metric name -> number, on the held-out part
  std::string lineage = "{}";   // run, parent version, labels, span of data, definition hash
  std::string profile = "{}";   // the reference profile (score sketch) that monitors compare with
};

// Writes `folder`/{manifest.json,settings.json,profile.json} so that a crash leaves either nothing
// or all of it: a temporary folder, synced, renamed. kConflict when the folder exists; kIo,
// kExhausted (disk full).
Result<void> write_package(const std::string& folder, const Package& package);

// Reads and checks the digests. kNotFound, kCorrupt (names the file and what differs), kUnsupported
// (newer format).
Result<Package> read_package(const std::string& folder);

// SHA-256 of all the package says apart from its version; equal content has equal digests.
std::string content_digest(const Package& package);

}  // namespace qw::models
