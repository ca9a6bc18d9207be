// Which of several data folders may write as one transactional id.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/result.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams {

// A mark that its holder renews while it lives: an offset of the group "ID-lease" that grows, with
// the holder's name beside it. Whoever finds another's mark watches it, by its own clock, until it
// has not grown for kAbandonedNs. Two that take it at the same moment are told apart by the broker,
// which fences one of them off. Without the right to keep the mark there is no lease, which is said
// once. Owned by a sink, and used on its thread.
class Lease {
 public:
  static constexpr int64_t kAbandonedNs = 10'000'000'000;
  static constexpr int64_t kRenewNs = 2'000'000'000;

  struct Config {
    std::string id;     // the transactional id
    std::string topic;  // any that exists: offsets belong to one
    std::string owner;  // empty: everybody may write
    internal::KafkaSettings broker;
    std::map<std::string, std::string> client;
  };
  Lease(Config config, const Clock& clock) : config_(std::move(config)), clock_(clock) {}
  ~Lease();  // gives it back, if a broker answers at once

  // Takes it, or finds it ours. kConflict: another holds it, or was not watched for long enough.
  Result<void> take();
  // When it is due; does not wait.
  void renew();

 private:
  struct Mark {
    int64_t count = 0;
    std::string owner;
  };
  Result<Mark> read() const;
  Result<void> write(const std::string& owner, int limit_ms);
  std::string group() const { return config_.id + "-lease"; }

  const Config config_;
  const Clock& clock_;
  internal::KafkaPtr<rd_kafka_t> client_;
  std::optional<int64_t> held_;  // the mark's count, while it is ours
  int64_t renewed_ns_ = 0;
  bool refused_ = false;        // by the broker: for want of a right
  bool topic_missing_ = false;  // offsets of it cannot be kept yet
  std::optional<int64_t> watched_;
  int64_t watched_since_ns_ = 0;
};

}  // namespace qw::streams
