#include "base/fail_point.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

namespace qw {
namespace internal {

std::atomic<bool> fail_points_armed{false};

namespace {
std::string wanted_name;  // written once, before threads start
bool stalls = false, kills = false, throws = false, fails = false;
std::atomic<int64_t> passages_left{0};
}  // namespace

void reach_fail_point(std::string_view name) {
  if (name != wanted_name || fails) return;
  if (passages_left.fetch_sub(1) != 1) return;
  if (throws) throw std::bad_alloc();
  std::raise(SIGKILL);
}

bool fails_at(std::string_view name) {
  return fails && name == wanted_name && passages_left.fetch_sub(1) == 1;
}

void reach_record(std::string_view stage, std::string_view record) {
  const std::string_view name = wanted_name;
  if (name.size() <= stage.size() || !name.starts_with(stage) || name[stage.size()] != '/') return;
  if (record.find(name.substr(stage.size() + 1)) == std::string_view::npos) return;
  while (stalls) ::pause();
  if (kills) std::raise(SIGKILL);
  if (passages_left.fetch_sub(1) == 1) std::abort();
}

}  // namespace internal

void arm_fail_points_from_environment() {
  const char* setting = std::getenv("QUICKWATER_FAIL_POINT");
  if (setting == nullptr) return;
  std::string text = setting;
  const auto cut = [&](std::string_view end) {
    if (!text.ends_with(end)) return false;
    text.resize(text.size() - end.size());
    return true;
  };
  internal::throws = cut(":throw");
  internal::fails = cut(":error");
  const auto colon = text.rfind(':');
  internal::wanted_name = text.substr(0, colon);
  internal::passages_left = colon == std::string::npos ? 1 : std::atoll(text.c_str() + colon + 1);
  internal::stalls = text.ends_with(":stall");
  internal::kills = text.ends_with(":kill");
  internal::fail_points_armed = true;
}

}  // namespace qw
