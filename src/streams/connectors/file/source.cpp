#include "streams/connectors/file/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "streams/connectors/file/reader.h"

namespace qw::streams::file {
namespace {

constexpr int64_t kTailPauseUs = 20'000;
constexpr int64_t kTailTogetherUs = 1'000'000;  // of event time: batches are not cut for less
constexpr size_t kReplayAhead = 256;            // rows decoded ahead per file

class FileSource final : public Source {
 public:
  FileSource(const Config& config, const DecodeOptions& decode, size_t time_column,
             const Clock& clock)
      : config_(config), decode_(decode), time_column_(time_column), clock_(clock) {}

  const std::shared_ptr<const schema::Schema>& schema() const override { return decode_.schema; }
  Result<void> open(const SavedPositions& saved, SourceHost& host) override;
  Result<SourceBatch> poll(int64_t wait_us) override;
  bool caught_up() const override;
  void committed(uint32_t, const std::string&) override {}  // the saved place is all it needs
  SourceStatus status() const override;
  void close() override;

 private:
  Result<void> discover(bool first_start);
  uint32_t free_number(size_t rank) const;
  std::unique_ptr<FileReader> reader_of(Place place, uint32_t partition) const;
  Result<void> add_reader(Place place, uint32_t partition, bool at_end);
  SourceBatch nothing(int64_t wait_us);
  SourceBatch hand_out(FileReader& reader, size_t rows);
  Result<SourceBatch> poll_read(int64_t wait_us);
  Result<SourceBatch> poll_tail(int64_t wait_us);
  Result<SourceBatch> poll_replay(int64_t wait_us);
  Result<void> refill();
  FileReader* earliest();
  size_t run_length(const FileReader& reader, int64_t together_us) const;
  int64_t due_in_us(int64_t time_us);
  void note(std::optional<Error> trouble, SourceState state);

  const Config config_;
  const DecodeOptions decode_;
  const size_t time_column_;
  const Clock& clock_;
  std::vector<std::unique_ptr<FileReader>> readers_;  // in partition order
  std::set<std::string> known_;
  size_t current_ = 0;  // mode read: the file being read
  int64_t next_scan_ns_ = 0;
  // Replay: event time `first_us` is played at `first_ns`; `last_us` is the latest asked for.
  struct Pace {
    double first_us, last_us;
    int64_t first_ns;
  };
  std::optional<Pace> pace_;
  // Mode tail: the files whose end was not seen at the last look, by partition.
  std::set<uint32_t> unread_;

  mutable std::mutex mutex_;  // guards status_
  SourceStatus status_;
};

void FileSource::note(std::optional<Error> trouble, SourceState state) {
  std::lock_guard lock(mutex_);
  if (trouble) status_.trouble = std::move(trouble);
  status_.state = state;
  status_.detail = fmt::format("{} files", readers_.size());
}

std::unique_ptr<FileReader> FileSource::reader_of(Place place, uint32_t partition) const {
  FileReader::Options options;
  options.decode = &decode_;
  options.partition = partition;
  options.follow = config_.mode == Mode::kTail;
  options.imported = config_.mode != Mode::kTail;
  options.counts = config_.counts ? &*config_.counts : nullptr;
  options.stepwise = config_.mode == Mode::kReplay;
  if (!config_.series_column.empty())
    options.series_column = decode_.schema->index_of(config_.series_column);
  return std::make_unique<FileReader>(options, std::move(place));
}

Result<void> FileSource::add_reader(Place place, uint32_t partition, bool at_end) {
  known_.insert(place.path);
  auto reader = reader_of(std::move(place), partition);
  // Files that are read one after the other are opened when their turn comes.
  if (config_.mode != Mode::kRead) {
    if (auto opened = reader->open(); !opened.ok()) {
      note(opened.error(), SourceState::kRunning);
    } else if (at_end) {
      QW_TRY(reader->skip_to_end());
    }
  }
  if (config_.mode == Mode::kTail) unread_.insert(partition);
  readers_.push_back(std::move(reader));
  return {};
}

// What is read or played to its end is history until then.
bool FileSource::caught_up() const {
  if (config_.mode == Mode::kTail) return unread_.empty();
  const std::lock_guard lock(mutex_);
  return status_.state == SourceState::kFinished;
}

// A file's number is its rank among the files, so that a set of files that stays the same keeps its
// numbers also where nothing of a file was saved yet; else the next after all.
uint32_t FileSource::free_number(size_t rank) const {
  uint32_t next = 0;
  bool taken = false;
  for (const auto& reader : readers_) {
    next = std::max(next, reader->partition() + 1);
    taken = taken || reader->partition() == rank;
  }
  return taken ? next : static_cast<uint32_t>(rank);
}

Result<void> FileSource::discover(bool first_start) {
  QW_ASSIGN(const auto paths, list_files(config_.path, config_.max_files));
  for (size_t rank = 0; rank < paths.size(); ++rank) {
    const std::string& path = paths[rank];
    if (known_.contains(path)) continue;
    // A rotated file under its new name is still read by the reader that began it.
    const auto identity = identity_of(path);
    const auto has_read = [&](const auto& reader) { return reader->has_read(path, *identity); };
    if (!identity.ok() || std::any_of(readers_.begin(), readers_.end(), has_read)) continue;
    if (known_.size() >= config_.max_files)
      return Error{ErrorCode::kExhausted, fmt::format("more than {} files", config_.max_files),
                   config_.path, "narrow the path, or raise max_files"};
    Place place;
    place.path = path;
    QW_TRY(add_reader(std::move(place), free_number(rank), first_start && config_.from_end));
  }
  std::sort(readers_.begin(), readers_.end(),
            [](const auto& a, const auto& b) { return a->partition() < b->partition(); });
  return {};
}

Result<void> FileSource::open(const SavedPositions& saved, SourceHost&) {
  for (const auto& [partition, resume] : saved) {
    QW_ASSIGN(Place place, decode_place(resume));
    QW_TRY(add_reader(std::move(place), partition, false));
  }
  QW_TRY(discover(saved.empty()));
  if (readers_.empty() && config_.mode != Mode::kTail)
    return Error{ErrorCode::kNotFound, "no such file", config_.path,
                 "check the path; a folder or a glob must hold at least one file"};
  note(std::nullopt, readers_.empty() ? SourceState::kWaiting : SourceState::kRunning);
  next_scan_ns_ = clock_.monotonic_ns() + config_.rescan_ms * 1'000'000;
  return {};
}

SourceBatch FileSource::nothing(int64_t wait_us) {
  clock_.sleep_us(wait_us);
  return SourceBatch(decode_.schema);
}

SourceBatch FileSource::hand_out(FileReader& reader, size_t rows) {
  SourceBatch batch = reader.take(rows);
  std::lock_guard lock(mutex_);
  status_.rows += batch.rows.rows();
  status_.rejected += batch.rejected.size();
  if (reader.unusable()) status_.trouble = reader.unusable();
  return batch;
}

Result<SourceBatch> FileSource::poll(int64_t wait_us) {
  switch (config_.mode) {
    case Mode::kRead: return poll_read(wait_us);
    case Mode::kTail: return poll_tail(wait_us);
    case Mode::kReplay: return poll_replay(wait_us);
  }
  return nothing(wait_us);
}

Result<SourceBatch> FileSource::poll_read(int64_t wait_us) {
  for (; current_ < readers_.size(); ++current_) {
    FileReader& reader = *readers_[current_];
    if (!reader.is_open()) {
      if (auto opened = reader.open(); !opened.ok()) {
        note(opened.error(), SourceState::kRunning);
        continue;
      }
    }
    QW_ASSIGN(const Fill filled, reader.fill(kMaxBatchRows));
    if (filled == Fill::kRows) return hand_out(reader, std::min(reader.waiting(), kMaxBatchRows));
    Place done;  // a fresh reader in its place frees the memory
    done.path = reader.path();
    readers_[current_] = reader_of(std::move(done), reader.partition());
  }
  note(std::nullopt, SourceState::kFinished);
  return nothing(wait_us);
}

Result<SourceBatch> FileSource::poll_tail(int64_t wait_us) {
  const int64_t until_ns = clock_.monotonic_ns() + wait_us * 1000;
  while (true) {
    const size_t ahead =
        std::max(kReplayAhead, kMaxBatchRows / std::max<size_t>(readers_.size(), 1));
    for (const auto& reader : readers_) {
      unread_.erase(reader->partition());
      if (!reader->is_open()) continue;
      reader->set_now(clock_.wall_us());
      QW_TRY(reader->fill(ahead));
      if (reader->waiting() >= ahead) unread_.insert(reader->partition());
    }
    for (const auto& reader : readers_)
      if (reader->waiting() == 0 && reader->has_output()) return hand_out(*reader, 0);
    // What waits in several files comes by its time, so that none runs ahead of the others.
    if (FileReader* const first = earliest()) {
      const size_t rows = run_length(*first, kTailTogetherUs);
      for (const auto& reader : readers_)
        if (reader->waiting() > (reader.get() == first ? rows : 0))
          unread_.insert(reader->partition());
      return hand_out(*first, rows);
    }
    const int64_t now_ns = clock_.monotonic_ns();
    if (now_ns >= next_scan_ns_) {
      next_scan_ns_ = now_ns + config_.rescan_ms * 1'000'000;
      for (auto& reader : readers_) {
        if (!reader->is_open()) (void)reader->open().ok();
        QW_TRY(reader->check_rotation());
      }
      QW_TRY(discover(false));
      note(std::nullopt, readers_.empty() ? SourceState::kWaiting : SourceState::kRunning);
      continue;
    }
    const int64_t left_us = (until_ns - now_ns) / 1000;
    if (left_us <= 0) return SourceBatch(decode_.schema);
    clock_.sleep_us(std::min(left_us, kTailPauseUs));
  }
}

// Replay: every file that has not ended has a row waiting.
Result<void> FileSource::refill() {
  for (auto& reader : readers_) {
    if (!reader->is_open() || reader->waiting() > 0) continue;
    QW_TRY(reader->fill(kReplayAhead));
  }
  return {};
}

FileReader* FileSource::earliest() {
  FileReader* first = nullptr;
  for (auto& reader : readers_) {
    if (reader->waiting() == 0) continue;
    if (first == nullptr || reader->time_at(0, time_column_) < first->time_at(0, time_column_))
      first = reader.get();
  }
  return first;
}

// How many of the reader's rows come before any other file's next row, or after it by `together_us`
// at the most.
size_t FileSource::run_length(const FileReader& reader, int64_t together_us) const {
  int64_t limit_us = INT64_MAX;
  for (const auto& other : readers_) {
    if (other.get() == &reader || other->waiting() == 0) continue;
    const int64_t time_us = other->time_at(0, time_column_);
    // Of equal times the lower partition comes first.
    const bool before = other->partition() < reader.partition();
    limit_us = std::min(limit_us, before && time_us > INT64_MIN ? time_us - 1 : time_us);
  }
  if (limit_us < INT64_MAX - together_us) limit_us += together_us;
  size_t length = 1;
  while (length < reader.waiting() && length < kMaxBatchRows &&
         reader.time_at(length, time_column_) <= limit_us)
    ++length;
  return length;
}

// Microseconds until an event of this time is played; a pause in the data beyond max_gap is cut.
int64_t FileSource::due_in_us(int64_t time_us) {
  if (config_.speed == 0 || time_us == INT64_MIN) return 0;
  const auto at_us = static_cast<double>(time_us);
  if (!pace_) pace_ = Pace{at_us, at_us, clock_.monotonic_ns()};
  const double gap_us = at_us - pace_->last_us;
  const double most_us = static_cast<double>(config_.max_gap_s) * 1e6;
  if (gap_us > most_us) pace_->first_us += gap_us - most_us;
  pace_->last_us = std::max(pace_->last_us, at_us);
  const double ahead_us = (at_us - pace_->first_us) / config_.speed;
  const double passed_us = static_cast<double>(clock_.monotonic_ns() - pace_->first_ns) / 1000;
  return static_cast<int64_t>(std::min(ahead_us - passed_us, 1e15));
}

Result<SourceBatch> FileSource::poll_replay(int64_t wait_us) {
  QW_TRY(refill());
  for (auto& reader : readers_)
    if (reader->waiting() == 0 && reader->has_output()) return hand_out(*reader, 0);
  FileReader* reader = earliest();
  if (reader == nullptr) {
    note(std::nullopt, SourceState::kFinished);
    return nothing(wait_us);
  }
  const int64_t due_us = due_in_us(reader->time_at(0, time_column_));
  if (due_us > wait_us) return nothing(wait_us);
  if (due_us > 0) clock_.sleep_us(due_us);
  size_t rows = run_length(*reader, 0);
  if (config_.speed > 0)
    for (size_t i = 1; i < rows; ++i)
      if (due_in_us(reader->time_at(i, time_column_)) > 0) rows = i;  // ends the loop
  return hand_out(*reader, rows);
}

SourceStatus FileSource::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void FileSource::close() {
  readers_.clear();
  note(std::nullopt, SourceState::kClosed);
}

}  // namespace

Result<std::unique_ptr<Source>> make_file_source(const Config& config, const DecodeOptions& decode,
                                                 const std::string& event_time,
                                                 const Clock& clock) {
  QW_TRY(check(config));
  if (config.counts) {
    if (decode.format != Format::kText)
      return Error{ErrorCode::kBadInput, "counts reads text lines", "file", "add format: text"};
    QW_TRY(LineCounter::make(*config.counts, decode));
  }
  // Builds one to learn now what would fail later.
  QW_ASSIGN(const auto decoder, make_decoder(decode));
  const auto time_column = decode.schema->index_of(event_time);
  if (!time_column)
    return Error{ErrorCode::kBadInput, fmt::format("there is no column '{}'", event_time), "file",
                 "name the event-time column"};
  if (!config.series_column.empty()) {
    const auto series = decode.schema->index_of(config.series_column);
    if (!series || decode.schema->field(*series).type.kind != schema::Kind::kString)
      return Error{ErrorCode::kBadInput,
                   fmt::format("series_column '{}' is not a string column", config.series_column),
                   "file", "declare it in the schema"};
  }
  return std::unique_ptr<Source>(std::make_unique<FileSource>(config, decode, *time_column, clock));
}

}  // namespace qw::streams::file
