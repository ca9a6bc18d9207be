#include "streams/sinks/log/sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qw::streams {
namespace {

// The row's object with the action id in front.
std::string line_of(const OutboxRow& row) {
  const size_t open = row.json.find('{');
  if (open == std::string::npos) return row.json + "\n";
  const auto rest = std::string_view(row.json).substr(open + 1);
  const bool empty = rest.find_first_not_of(" \t\r\n") == rest.find('}');
  return fmt::format("{{\"action_id\":\"{}\"{}{}\n", row.action_id, empty ? "" : ",", rest);
}

class LogSink final : public Sink {
 public:
  explicit LogSink(LogSinkConfig config) : config_(std::move(config)) {}
  ~LogSink() override {
    if (file_ > STDERR_FILENO) ::close(file_);
  }

  Result<Start> open(std::string_view) override {
    if (config_.path.empty()) {
      file_ = STDERR_FILENO;
      return Start{};
    }
    file_ = ::open(config_.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file_ < 0)
      return Error{ErrorCode::kUnavailable, std::strerror(errno), config_.path,
                   "the log sink must be able to write this file"};
    end_broken_line();
    return Start{};
  }

  size_t batch_rows() const override { return 256; }

  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    std::string text;
    for (const PendingRow& row : rows) text += line_of(row.row);
    std::string_view rest = text;
    while (!rest.empty()) {
      const ssize_t written = ::write(file_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return {0, Retry{0, trouble("write")}};
      rest.remove_prefix(static_cast<size_t>(written));
    }
    if (file_ != STDERR_FILENO && ::fdatasync(file_) != 0) return {0, Retry{0, trouble("sync")}};
    return {rows.size(), Delivered{}};
  }

 private:
  std::string trouble(const char* step) const {
    return fmt::format("{}: cannot {}: {}", config_.path, step, std::strerror(errno));
  }
  // A crash or a full disk may have cut the last line.
  void end_broken_line() const {
    const off_t size = ::lseek(file_, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && ::pread(file_, &last, 1, size - 1) == 1 && last != '\n')
      (void)!::write(file_, "\n", 1);
  }

  LogSinkConfig config_;
  int file_ = -1;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_log_sink(const LogSinkConfig& config) {
  return std::unique_ptr<Sink>(std::make_unique<LogSink>(config));
}

}  // namespace qw::streams
