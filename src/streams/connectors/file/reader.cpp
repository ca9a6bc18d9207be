#include "streams/connectors/file/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/log.h"

namespace qw::streams::file {
namespace {

constexpr size_t kReadBytes = 128 * 1024;

}  // namespace

FileReader::FileReader(Options options, Place place)
    : options_(options), place_(std::move(place)), rows_(options.decode->schema) {}

Place FileReader::place_after(uint64_t offset, uint64_t records) const {
  Place place = place_;
  place.offset = offset;
  place.records = records;
  return place;
}

// The file under the place's name may be another one by now: then the place's own file has a new
// name beside it (log.1), and its rest comes first.
Result<bool> FileReader::find_rotated(const OpenFile::Identity& current) {
  if (place_.inode == 0 || (current.inode == place_.inode && current.device == place_.device))
    return false;
  std::error_code error;
  const auto folder = std::filesystem::path(place_.path).parent_path();
  std::filesystem::directory_iterator it(folder.empty() ? "." : folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    auto identity = identity_of(it->path().string());
    if (!identity.ok() || identity->inode != place_.inode || identity->device != place_.device)
      continue;
    QW_TRY(file_.open(it->path().string()));
    return true;
  }
  return false;
}

// Whether the open file still begins with what was read before.
Result<bool> FileReader::same_content(const OpenFile::Identity& identity) {
  if (identity.size < place_.offset) return false;
  const bool other =
      place_.inode != 0 && (identity.inode != place_.inode || identity.device != place_.device);
  // A log that was rotated begins alike more easily than a copy is followed.
  if (other && (place_.head_bytes == 0 || (options_.follow && place_.head_bytes < kHeadBytes)))
    return false;
  if (place_.head_bytes == 0) return true;
  QW_ASSIGN(const auto head, file_.read_at(0, place_.head_bytes, buffer_));
  return head.size() == place_.head_bytes && checksum64(head) == place_.head_hash;
}

Result<void> FileReader::open() {
  QW_ASSIGN(decoder_, make_decoder(*options_.decode));
  if (options_.series_column) decoder_->set_constant(*options_.series_column, stem_of(place_.path));
  if (options_.counts != nullptr && !counter_) {
    QW_ASSIGN(counter_, LineCounter::make(*options_.counts, *options_.decode));
    QW_TRY(counter_->restore(place_.extra));
  }
  auto current = identity_of(place_.path);
  const bool may_be_rotated = options_.follow && place_.inode != 0;
  if (!current.ok() && !may_be_rotated) return current.error();
  QW_ASSIGN(rotated_away_, find_rotated(current.ok() ? *current : OpenFile::Identity{}));
  if (!rotated_away_) QW_TRY(file_.open(place_.path));
  QW_ASSIGN(identity_, file_.identity());
  QW_ASSIGN(const bool same, same_content(identity_));
  if (!same) {
    log::warning("source.file", "{} is not the file it was: reading it from its start",
                 place_.path);
    return start_over();
  }
  place_.device = identity_.device;
  place_.inode = identity_.inode;
  framer_.reset();
  header_read_ = false;
  taken_ = place_;
  return {};
}

bool FileReader::has_read(const std::string& path, const OpenFile::Identity& identity) const {
  if (file_.is_open() && identity_.same_file(identity)) return true;
  for (const Place::Past& past : place_.past) {
    if (past.inode != identity.inode || past.device != identity.device) continue;
    OpenFile file;
    std::string buffer;
    if (!file.open(path).ok()) continue;
    const auto head = file.read_at(0, past.head_bytes, buffer);
    // The kernel gives an inode again; the content tells.
    if (head.ok() && head->size() == past.head_bytes && checksum64(*head) == past.head_hash)
      return true;
  }
  return false;
}

// The open file is read from its first byte; numbering goes on.
Result<void> FileReader::start_over() {
  if (place_.inode != 0 && place_.head_bytes > 0) {
    place_.past.push_back({place_.device, place_.inode, place_.head_hash, place_.head_bytes});
    if (place_.past.size() > kPastFiles) place_.past.erase(place_.past.begin());
  }
  QW_ASSIGN(identity_, file_.identity());
  place_.device = identity_.device;
  place_.inode = identity_.inode;
  place_.offset = 0;
  place_.head_bytes = 0;
  place_.head_hash = 0;
  framer_.reset();
  header_read_ = false;
  rotated_away_ = false;
  ended_ = false;
  ++rotations_;
  taken_ = place_;
  return {};
}

void FileReader::give_up(Error error) {
  error.where = place_.path;
  rejected_.push_back({rows_.rows(), reject(place_.path + ":header", error.to_string(), "")});
  unusable_ = std::move(error);
  ended_ = true;
}

// False: the header is not whole yet.
Result<bool> FileReader::read_header() {
  if (header_read_) return true;
  uint64_t data_begin = 0;
  if (decoder_->needs_header()) {
    Framer framer = make_framer(*options_.decode);
    std::optional<Frame> header;
    uint64_t offset = 0;
    while (!header) {
      QW_ASSIGN(const auto bytes, file_.read_at(offset, kReadBytes, buffer_));
      offset += bytes.size();
      framer.feed(bytes);
      header = framer.next();
      if (header || bytes.size() == kReadBytes) continue;
      if (options_.follow) return false;
      header = framer.finish();
      break;
    }
    if (!header) {  // an empty file
      ended_ = true;
      return true;
    }
    if (header->problem != Frame::Problem::kNone) {
      give_up(Error{ErrorCode::kBadInput, describe(header->problem, *options_.decode), "", ""});
      return true;
    }
    if (auto used = decoder_->use_header(header->text); !used.ok()) {
      give_up(used.error());
      return true;
    }
    data_begin = header->end;
  }
  header_read_ = true;
  place_.offset = std::max(place_.offset, data_begin);
  framer_ = make_framer(*options_.decode, place_.offset);
  read_offset_ = place_.offset;
  return true;
}

// Remembers the file's first bytes once something was read. False: the file cannot be read.
bool FileReader::remember_head() {
  if (place_.head_bytes >= kHeadBytes || place_.head_bytes >= place_.offset) return true;
  std::string head;
  auto bytes = file_.read_at(0, std::min<uint64_t>(kHeadBytes, place_.offset), head);
  if (!bytes.ok()) return false;
  place_.head_bytes = bytes->size();
  place_.head_hash = checksum64(*bytes);
  return true;
}

void FileReader::accept(const Frame& frame) {
  ++place_.records;
  place_.offset = frame.end;
  const auto position = [&] { return fmt::format("{}:{}", place_.path, place_.records); };
  if (frame.problem != Frame::Problem::kNone) {
    rejected_.push_back(
        {rows_.rows(), reject(position(), describe(frame.problem, *options_.decode), frame.text)});
    return;
  }
  if (counter_) {
    const auto counted = counter_->add(frame.text, now_us_);
    if (!counted.ok())
      rejected_.push_back({rows_.rows(), reject(position(), counted.error().message, frame.text)});
    return;
  }
  auto decoded = decoder_->decode(frame.text, rows_);
  if (!decoded.ok()) {
    rejected_.push_back({rows_.rows(), reject(position(), decoded.error().message, frame.text)});
    return;
  }
  ends_.push_back(frame.end);
  records_.push_back(place_.records);
}

// Rows of the intervals that are closed, as many as fit. Their positions number them over all
// starts.
void FileReader::emit_counts(size_t rows) {
  if (!counter_) return;
  const size_t each = counter_->counters();
  const size_t most = options_.stepwise ? each : std::max(rows, each);
  while (waiting() + each <= most && counter_->emit(stem_of(place_.path), rows_))
    for (size_t i = 0; i < each; ++i) {
      ends_.push_back(place_.offset);
      records_.push_back(counter_->rows() - each + i + 1);
    }
}

// Nothing more is in the file now. False: nor will there be before the next fill().
Result<bool> FileReader::at_end(size_t rows) {
  if (options_.follow && !rotated_away_) {
    if (counter_) counter_->idle(now_us_);
    emit_counts(rows);
    return false;
  }
  if (const auto frame = framer_->finish()) {
    accept(*frame);
    return true;
  }
  // What was read of the old file is handed out before the new one begins.
  if (rotated_away_ && !has_output() && identity_of(place_.path).ok()) {
    QW_TRY(file_.open(place_.path));
    QW_TRY(start_over());
    return read_header();
  }
  if (rotated_away_) return false;
  if (counter_) counter_->finish();
  emit_counts(rows);
  ended_ = true;
  return true;
}

Result<Fill> FileReader::fill(size_t rows) {
  if (waiting() >= rows) return Fill::kRows;
  if (!ended_) {
    QW_ASSIGN(const bool ready, read_header());
    if (!ready) return has_output() ? Fill::kRows : Fill::kNothingYet;
  }
  emit_counts(rows);
  const auto enough = [&] {
    return (counter_ ? waiting() > 0 : waiting() >= rows) || rejected_.size() >= rows;
  };
  while (!ended_ && !enough()) {
    if (const auto frame = framer_->next()) {
      accept(*frame);
      emit_counts(rows);
      continue;
    }
    QW_ASSIGN(const auto bytes, file_.read_at(read_offset_, kReadBytes, buffer_));
    read_offset_ += bytes.size();
    if (!bytes.empty()) {
      framer_->feed(bytes);
      continue;
    }
    QW_ASSIGN(const bool goes_on, at_end(rows));
    if (!goes_on) break;
  }
  if (!remember_head())
    return Error{ErrorCode::kIo, "the file cannot be read any more", place_.path, ""};
  if (has_output()) return Fill::kRows;
  return ended_ ? Fill::kEnd : Fill::kNothingYet;
}

Result<void> FileReader::check_rotation() {
  if (!file_.is_open() || rotated_away_) return {};
  QW_ASSIGN(const auto mine, file_.identity());
  const auto named = identity_of(place_.path);
  if (named.ok() && !named->same_file(mine)) {
    rotated_away_ = true;
    return {};
  }
  if (mine.size >= read_offset_) return {};
  log::warning("source.file", "{} was cut to {} bytes: reading it from its start", place_.path,
               mine.size);
  // Rows decoded from the old content are still handed out; their places are the new start.
  std::fill(ends_.begin(), ends_.end(), 0);
  return start_over();
}

Result<void> FileReader::skip_to_end() {
  QW_ASSIGN(const bool ready, read_header());
  if (!ready || ended_) return {};
  // Behind the last line end, so that a line half written is read when it is whole.
  uint64_t end = identity_.size;
  while (end > place_.offset) {
    const uint64_t begin = end > place_.offset + kReadBytes ? end - kReadBytes : place_.offset;
    QW_ASSIGN(const auto bytes, file_.read_at(begin, end - begin, buffer_));
    const size_t last = bytes.rfind('\n');
    if (last != std::string_view::npos) {
      place_.offset = begin + last + 1;
      framer_ = make_framer(*options_.decode, place_.offset);
      read_offset_ = place_.offset;
      taken_ = place_;
      return {};
    }
    end = begin;
  }
  return {};
}

int64_t FileReader::time_at(size_t n, size_t column) const {
  const auto& times = rows_.column(column);
  return times.valid(head_ + n) ? times.int_at(head_ + n) : INT64_MIN;
}

SourceBatch FileReader::take(size_t count) {
  if (counter_) {
    count = waiting();
    place_.extra = counter_->state();
  }
  SourceBatch batch(options_.decode->schema);
  batch.partition = options_.partition;
  batch.imported = options_.imported;
  const size_t end = head_ + count;
  const bool all = end == rows_.rows();
  batch.positions.assign(records_.begin() + static_cast<ptrdiff_t>(head_),
                         records_.begin() + static_cast<ptrdiff_t>(end));
  while (!rejected_.empty() && (all || rejected_.front().before_row < end)) {
    batch.rejected.push_back(std::move(rejected_.front().rejected));
    rejected_.pop_front();
  }
  taken_ = all ? place_ : place_after(ends_[end - 1], records_[end - 1]);
  if (head_ == 0 && all) {
    std::swap(batch.rows, rows_);
  } else {
    for (size_t row = head_; row < end; ++row) batch.rows.append_row_from(rows_, row);
  }
  head_ = end;
  if (all) {
    rows_.clear();
    ends_.clear();
    records_.clear();
    head_ = 0;
  }
  batch.resume = encode_place(taken_);
  return batch;
}

}  // namespace qw::streams::file
