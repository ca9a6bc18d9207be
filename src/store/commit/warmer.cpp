#include "store/commit/warmer.h"

#include <chrono>
#include <memory>
#include <vector>

#include "base/guard.h"
#include "base/log.h"

namespace qw::store {
namespace {

constexpr std::chrono::milliseconds kLookEvery(500);

}  // namespace

void Warmer::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    const auto ran = guarded("recovery", [&] { run(stop); });
    if (!ran.ok()) log::error("recovery", "{}", ran.error().to_string());
  });
}

void Warmer::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<KeyedTable>> cold;
    {
      const auto held = lane_.hold();
      cold = checkpointer_.cold();
    }
    for (const auto& table : cold)
      for (bool more = true; more && !stop.stop_requested();) {
        const int64_t began_ns = clock_.monotonic_ns();
        const auto warmed = table->warm();
        if (!warmed.ok()) log::warning("recovery", "{}", warmed.error().to_string());
        more = warmed.ok() && *warmed;
        clock_.sleep_us((clock_.monotonic_ns() - began_ns) / 1000);
      }
    std::unique_lock lock(mutex_);
    stopped_.wait_for(lock, stop, kLookEvery, [] { return false; });
  }
}

}  // namespace qw::store
