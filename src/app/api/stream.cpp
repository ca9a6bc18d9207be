#include "app/api/stream.h"

#include <fmt/format.h>

#include <charconv>

namespace qw::app {
namespace {

std::string event_text(std::string_view event, std::optional<int64_t> id, const Json& data) {
  std::string text = fmt::format("event: {}\n", event);
  if (id) text += fmt::format("id: {}\n", *id);
  return text + "data: " + written(data) + "\n\n";
}

}  // namespace

std::optional<int64_t> StreamHub::resume_from(const std::string& last_id) const {
  int64_t id = 0;
  const char* const end = last_id.data() + last_id.size();
  const auto parsed = std::from_chars(last_id.data(), end, id);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  const int64_t oldest = kept_.empty() ? last_id_ : kept_.front().id - 1;
  if (id < started_us_ || id < oldest || id > last_id_) return std::nullopt;
  return id;
}

bool StreamHub::open(net::HttpReply& reply, const std::optional<std::string>& last_id, Json hello) {
  if (streams() >= limits_.streams) return false;
  auto stream =
      reply.start_stream(200, "text/event-stream",
                         {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  const auto from = last_id ? resume_from(*last_id) : std::nullopt;
  // A stream that breaks before all that was missed has come is resumed at the same place.
  std::string text = "retry: 1000\n\n" + event_text("hello", from.value_or(last_id_), hello);
  if (last_id && !from) text += event_text("reset", std::nullopt, Json::object());
  if (from)
    for (const Kept& event : kept_)
      if (event.id > *from) text += event.text;
  stream->send(text);
  streams_.push_back(std::move(stream));
  return true;
}

void StreamHub::tell(std::string_view event, const Json& data) {
  ++last_id_;
  kept_.push_back({last_id_, event_text(event, last_id_, data)});
  if (kept_.size() > limits_.kept) kept_.pop_front();
  send(kept_.back().text);
}

void StreamHub::beat(std::string_view event, const Json& data) {
  if (!streams_.empty()) send(event_text(event, std::nullopt, data));
}

void StreamHub::send(const std::string& text) {
  std::erase_if(streams_, [&](const auto& stream) { return !stream->send(text); });
}

size_t StreamHub::streams() {
  std::erase_if(streams_, [](const auto& stream) { return !stream->open(); });
  return streams_.size();
}

}  // namespace qw::app
