// A model package: a versioned folder that holds everything needed to serve one model version.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/artefact.h"
#include "schema/type.h"

namespace qw::models {

constexpr int kPackageFormat = 2;  // 1: without outputs, artefacts and a seal
constexpr size_t kArtefactsMax = 100;
constexpr size_t kInputsMax = 10'000;
constexpr size_t kOutputsMax = 1'000;

// What a package says. The JSON texts are objects, kept as text so that a package survives fields
// that this version does not know. A value; make it with the trainer, import_package() or
// read_package().
struct Package {
  int format = kPackageFormat;  // it was read from; what is written is of the newest
  std::string model;            // "anomaly"
  int64_t version = 0;          // 1 and up, given by the registry
  std::string kind;             // a name of the engines' list: "ensemble"
  int64_t created_us = 0;       // microseconds since 1970 UTC
  std::string settings = "{}";  // of the engine, each with its value; all that a detector needs
  schema::Schema inputs;        // features by name, in the order in which the engine takes them
  schema::Schema outputs;       // names and types of a row's scores; numbers and bools
  std::string metrics = "{}";   // metric name -> number, on the held-out part
  std::string lineage = "{}";   // run, parent version, labels, span of data, definition hash
  std::string profile = "{}";   // the reference profile (score sketch) that monitors compare with
  std::vector<Artefact> artefacts;  // "weights.json", "model.onnx"; mapped where they were read

  // Null: there is none of that name.
  const Artefact* artefact(std::string_view name) const;
};

// kBadInput: a name that is no plain file name or comes twice, too many of something, an output
// that is no number.
Result<void> check_package(const Package& package);

// Writes `folder`/{manifest.json,manifest.json.sha256,settings.json,profile.json} and the artefacts
// beside them so that a crash leaves either nothing or all of it: a temporary folder, synced,
// renamed. manifest.json lists every other file with its size and SHA-256, and
// manifest.json.sha256 is what `sha256sum manifest.json` prints. kConflict when the folder exists;
// kBadInput as check_package(); kIo, kExhausted (disk full).
Result<void> write_package(const std::string& folder, const Package& package);

// Reads and checks all of it: every file there is listed, and every listed one is there, a regular
// file with its size and digest. The artefacts are mapped, not copied, and live as long as a copy
// of them. kNotFound, kCorrupt (names the file and what differs), kUnsupported (newer format).
Result<Package> read_package(const std::string& folder);

// SHA-256 of all that makes the scores and of what they are compared with: equal content has equal
// digests, whatever its version.
std::string content_digest(const Package& package);

}  // namespace qw::models
