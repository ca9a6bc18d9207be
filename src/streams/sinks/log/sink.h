// The log sink: one JSON object a line, to a file or standard error. At least once: a crash between
// the write and the erase repeats a line under the same action_id.
#pragma once

#include <memory>

#include "streams/sink.h"
#include "streams/sinks/configs.h"

namespace qw::streams {

Result<std::unique_ptr<Sink>> make_log_sink(const LogSinkConfig& config);

}  // namespace qw::streams
