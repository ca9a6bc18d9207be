#include "streams/source.h"

namespace qw::streams {

std::string_view name_of(SourceState state) {
  switch (state) {
    case SourceState::kStarting: return "starting";
    case SourceState::kRunning: return "running";
    case SourceState::kWaiting: return "waiting";
    case SourceState::kFinished: return "finished";
    case SourceState::kClosed: return "closed";
  }
  return "unknown";
}

}  // namespace qw::streams
