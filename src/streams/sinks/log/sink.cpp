#include "streams/sinks/log/sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <vector>

#include "base/outlet.h"

namespace qw::streams {
namespace {

// The row's object with the action id in front, where it has none of its own.
std::string line_of(const OutboxRow& row) {
  const size_t open = row.json.find('{');
  if (open == std::string::npos) return row.json + "\n";
  const auto rest = std::string_view(row.json).substr(open + 1);
  if (row.json.find("\"action_id\":") != std::string::npos) return row.json + "\n";
  const bool empty = rest.find_first_not_of(" \t\r\n") == rest.find('}');
  return fmt::format("{{\"action_id\":\"{}\"{}{}\n", row.action_id, empty ? "" : ",", rest);
}

class LogSink final : public Sink {
 public:
  explicit LogSink(LogSinkConfig config) : config_(std::move(config)) {}
  ~LogSink() override {
    outlet_.reset();
    if (file_ > STDERR_FILENO) ::close(file_);
  }

  Result<Start> open(std::string_view) override {
    if (config_.path.empty()) {
      file_ = STDERR_FILENO;
    } else {
      // Not waiting matters where the path is a pipe or a terminal.
      file_ =
          ::open(config_.path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
      if (file_ < 0)
        return Error{ErrorCode::kUnavailable, std::strerror(errno), config_.path,
                     "the log sink must be able to write this file"};
    }
    outlet_.emplace(file_);
    syncs_ = file_ != STDERR_FILENO && outlet_->is_file();
    if (syncs_) end_broken_line();
    return Start{};
  }

  size_t batch_rows() const override { return 256; }

  DeliveryReport deliver(std::span<const PendingRow> rows) override {
    size_t written = 0;
    Delivery next = Delivered{};
    while (written < rows.size()) {
      const size_t end = group_end(rows, written);
      const Result<size_t> whole = write_lines(rows.subspan(written, end - written));
      if (!whole.ok()) next = Retry{0, whole.error().message};
      if (!whole.ok()) break;
      written += *whole;
      if (written == end) continue;
      next = Retry{0, outlet_->is_file() ? "no room for " + name() : "nobody reads " + name()};
      break;
    }
    // Whatever is told as delivered is durable.
    if (written > 0 && syncs_ && ::fdatasync(file_) != 0) return {0, Retry{0, trouble("sync")}};
    return {written, std::move(next)};
  }

 private:
  // A pipe takes so much whole or not at all: lines stay whole although others write there, too.
  size_t group_end(std::span<const PendingRow> rows, size_t begin) const {
    if (outlet_->is_file()) return rows.size();
    size_t bytes = 0, end = begin;
    do bytes += line_of(rows[end++].row).size();
    while (end < rows.size() && bytes + line_of(rows[end].row).size() <= PIPE_BUF);
    return end;
  }

  // How many lines went whole. Of the one after them the rest comes first at the next try.
  Result<size_t> write_lines(std::span<const PendingRow> rows) {
    std::string text;
    std::vector<size_t> ends;
    for (const PendingRow& row : rows) ends.push_back((text += line_of(row.row)).size());
    size_t from = 0;
    if (cut_bytes_ > 0 && cut_row_ == rows.front().seq)
      from = cut_bytes_;
    else if (cut_bytes_ > 0)  // its row was given up
      text.insert(0, "\n"), std::for_each(ends.begin(), ends.end(), [](size_t& end) { ++end; });
    const long gone = outlet_->write(std::string_view(text).substr(from));
    if (gone < 0) return Error{ErrorCode::kIo, trouble("write"), "", ""};
    const size_t until = from + static_cast<size_t>(gone);
    const auto whole =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), until) - ends.begin());
    if (whole < rows.size() && gone > 0) {
      cut_row_ = rows[whole].seq;
      cut_bytes_ = until - (whole == 0 ? 0 : ends[whole - 1]);
    } else if (whole == rows.size()) {
      cut_bytes_ = 0;
    }
    return whole;
  }

  std::string name() const { return config_.path.empty() ? "standard error" : config_.path; }
  std::string trouble(const char* step) const {
    return fmt::format("{}: cannot {}: {}", name(), step, std::strerror(errno));
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
  std::optional<Outlet> outlet_;
  bool syncs_ = false;
  Seq cut_row_;  // whose line went in part, and how much of it
  size_t cut_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<Sink>> make_log_sink(const LogSinkConfig& config) {
  return std::unique_ptr<Sink>(std::make_unique<LogSink>(config));
}

}  // namespace qw::streams
