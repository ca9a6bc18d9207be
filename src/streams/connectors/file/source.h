// The file source; see config.h for what it reads and source.h of streams for what it promises.
#pragma once

#include <memory>

#include "base/env.h"
#include "streams/connectors/file/config.h"
#include "streams/decoders/options.h"
#include "streams/source.h"

namespace qw::streams::file {

// One partition per file, numbered as the files were first seen. `event_time` names the column that
// a replay goes by. kBadInput: options that cannot work together.
Result<std::unique_ptr<Source>> make_file_source(const Config& config, const DecodeOptions& decode,
                                                 const std::string& event_time, const Clock& clock);

}  // namespace qw::streams::file
