// Which librdkafka settings a user may give.
#include <fmt/format.h>

#include <array>
#include <string_view>

#include "streams/connectors/kafka/config.h"
#include "streams/internal/kafka_client.h"

namespace qw::streams::kafka {
namespace {

struct Reserved {
  std::string_view name;
  const char* mend;
};

constexpr const char* kOurs = "remove it: what is promised rests on the value set here";
constexpr const char* kBrokers = "write it as `brokers:`";
constexpr const char* kGroup = "write it as `group:` of the source; a sink has a group of its own";

// What carries a guarantee, or says again what the application file says.
constexpr Reserved kReserved[] = {
    {"bootstrap.servers", kBrokers},
    {"metadata.broker.list", kBrokers},
    {"test.mock.num.brokers", "remove it: it replaces the brokers by ones that keep nothing"},
    {"group.id", kGroup},
    {"group.protocol.type", kGroup},
    {"enable.auto.commit", kOurs},
    {"auto.commit.enable", kOurs},
    {"auto.commit.interval.ms", kOurs},
    {"enable.auto.offset.store", kOurs},
    {"offset.store.method", kOurs},
    {"offset.store.path", kOurs},
    {"offset.store.sync.interval.ms", kOurs},
    {"auto.offset.reset", "write it as `start:` of the source"},
    {"isolation.level", "remove it: committed messages alone are read"},
    {"partition.assignment.strategy",
     "remove it: members give all partitions back before any moves (range, roundrobin), so that "
     "the next owner begins where the last one ended; cooperative-sticky is not supported"},
    {"enable.partition.eof", kOurs},
    {"statistics.interval.ms", kOurs},
    {"transactional.id", "remove it: it is made of the names of the application and the sink"},
    {"enable.idempotence", kOurs},
    {"enable.gapless.guarantee", kOurs},
    {"acks", "remove it: every in-sync replica answers"},
    {"request.required.acks", "remove it: every in-sync replica answers"},
    {"message.timeout.ms", kOurs},
    {"delivery.timeout.ms", kOurs},
    {"transaction.timeout.ms", kOurs},
    {"queuing.strategy", "remove it: the order of messages is kept"},
};

}  // namespace

Result<void> check_client_setting(const std::string& name, const std::string& value) {
  const auto bad = [](std::string message, std::string mend) {
    return Error{ErrorCode::kBadInput, std::move(message), "", std::move(mend)};
  };
  for (const Reserved& reserved : kReserved)
    if (reserved.name == name)
      return bad(fmt::format("'{}' is not for `client:` to set", name), reserved.mend);
  if (name == "partitioner" && value == "random")
    return bad("partitioner 'random' scatters the messages of a key",
               "choose one that places a key always in one partition, or remove it");
  const internal::KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  std::array<char, 256> detail{};  // repeats the value, which may be secret: not shown
  const auto set =
      rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), detail.data(), detail.size());
  if (set == RD_KAFKA_CONF_UNKNOWN)
    return bad(fmt::format("librdkafka {} knows no setting '{}'", rd_kafka_version_str(), name),
               "see librdkafka's CONFIGURATION.md for the names");
  if (set != RD_KAFKA_CONF_OK && !value.empty())
    return bad(
        fmt::format("librdkafka {} does not take this value of '{}'", rd_kafka_version_str(), name),
        "see librdkafka's CONFIGURATION.md for the values");
  return {};
}

}  // namespace qw::streams::kafka
