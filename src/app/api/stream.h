// Server-sent events: what happens, to whoever listens, and again to those who missed it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/api/json.h"
#include "base/net/http.h"

namespace qw::app {

// How much a hub holds. A value.
struct StreamLimits {
  size_t streams = 16;
  size_t kept = 1000;  // events that can be sent again
};

// Owns the open streams. One thread.
class StreamHub {
 public:
  // Ids count from `started_us`, so that one of another start is recognised.
  StreamHub(int64_t started_us, StreamLimits limits)
      : started_us_(started_us), last_id_(started_us), limits_(limits) {}

  // Begins with hello, then what was missed after `last_id`, or reset. False: too many streams, and
  // the reply is untouched.
  bool open(net::HttpReply& reply, const std::optional<std::string>& last_id, Json hello);
  // An event that is kept, and sent again to those who missed it.
  void tell(std::string_view event, const Json& data);
  // A moment's word: it has no id and is never sent again.
  void beat(std::string_view event, const Json& data);

  // Those that are still open.
  size_t streams();
  void close_all() { streams_.clear(); }

 private:
  struct Kept {
    int64_t id = 0;
    std::string text;
  };
  // The id to go on from; nothing when what was missed is gone.
  std::optional<int64_t> resume_from(const std::string& last_id) const;
  void send(const std::string& text);

  const int64_t started_us_;
  int64_t last_id_;
  const StreamLimits limits_;
  std::deque<Kept> kept_;
  std::vector<std::shared_ptr<net::HttpStream>> streams_;
};

}  // namespace qw::app
