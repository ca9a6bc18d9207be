#include "store/commit/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/bytes.h"
#include "base/files.h"
#include "store/commit/meta_names.h"
#include "store/internal/end_mark.h"
#include "store/internal/folder.h"

namespace qw::store {
namespace {

constexpr std::string_view kSuffix = ".spool";
constexpr uint64_t kMagic = 0x31304C4F4F505351;  // "QSPOOL01"
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kAlign = 8;
constexpr uint32_t kWrap = UINT32_MAX;  // in the place of a size: the next frame is at the start

// The first page of a file. Written whole before the first frame.
struct Header {
  uint64_t magic = 0;
  uint64_t id = 0;
  uint64_t ring_bytes = 0;
  char boot[40] = {};     // of the machine: tells a power cut from a process that died
  uint64_t check = 0;     // of everything before it
  uint64_t released = 0;  // a hint where to begin; the store knows which frames are committed
};

// Before each record; its checksum follows the record.
struct Frame {
  uint32_t record_bytes = 0;
  uint32_t log = 0;
  uint64_t id = 0;
  uint64_t number = 0;  // from 1, without gaps: what an earlier lap left has a lower one
  uint64_t seq = 0;
  uint32_t partition = 0;
  uint32_t unused = 0;
};
static_assert(sizeof(Frame) == 40);

size_t frame_bytes(size_t record_bytes) {
  const size_t whole = sizeof(Frame) + record_bytes;
  return (whole + kAlign - 1) / kAlign * kAlign + sizeof(uint64_t);
}

// Where a frame of this position begins: at the ring's start when not even a wrap fits before it.
uint64_t settled(uint64_t position, uint64_t ring_bytes) {
  const uint64_t rest = ring_bytes - position % ring_bytes;
  return rest < sizeof(Frame) ? position + rest : position;
}

uint64_t header_check(const Header& header) {
  return checksum64({reinterpret_cast<const char*>(&header), offsetof(Header, check)});
}

// A frame as found at a place. A view into the ring.
struct FoundFrame {
  Frame head;
  std::string_view record;
  uint64_t next = 0;
};

// The ring of a file, read without trust.
class Ring {
 public:
  Ring(std::string_view bytes, uint64_t id) : bytes_(bytes), id_(id) {}

  // The frame at a position; nothing when there is none or it is not whole.
  std::optional<FoundFrame> at(uint64_t position) const {
    position = settled(position, bytes_.size());
    uint64_t place = position % bytes_.size();
    Frame head;
    std::memcpy(&head.record_bytes, bytes_.data() + place, sizeof head.record_bytes);
    if (head.record_bytes == kWrap) {
      position += bytes_.size() - place;
      place = 0;
    }
    std::memcpy(&head, bytes_.data() + place, sizeof head);
    if (head.id != id_ || head.record_bytes > bytes_.size()) return std::nullopt;
    const size_t whole = frame_bytes(head.record_bytes);
    if (whole > bytes_.size() - place) return std::nullopt;
    const std::string_view checked = bytes_.substr(place, whole - sizeof(uint64_t));
    uint64_t check = 0;
    std::memcpy(&check, bytes_.data() + place + checked.size(), sizeof check);
    if (check != checksum64(checked)) return std::nullopt;
    return FoundFrame{head, checked.substr(sizeof(Frame), head.record_bytes), position + whole};
  }

  // The highest number of a whole frame anywhere.
  uint64_t highest() const {
    uint64_t found = 0;
    for (uint64_t place = 0; place + sizeof(Frame) <= bytes_.size(); place += kAlign) {
      uint64_t id = 0;
      std::memcpy(&id, bytes_.data() + place + offsetof(Frame, id), sizeof id);
      if (id != id_) continue;
      if (const auto frame = at(place)) found = std::max(found, frame->head.number);
    }
    return found;
  }

 private:
  std::string_view bytes_;
  uint64_t id_;
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::create(const std::string& folder, uint64_t id, size_t bytes) {
  QW_ASSERT(bytes % kHeaderBytes == 0 && bytes > kHeaderBytes);
  QW_TRY(make_folders(folder));
  const std::string path = fmt::format("{}/{:016x}{}", folder, id, kSuffix);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return internal::system_error("cannot make a spool", path, errno);
  std::unique_ptr<Spool> spool(new Spool(path, id));
  const int refused = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  void* place = MAP_FAILED;
  if (refused == 0)
    place = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
  else
    errno = refused;
  if (place == MAP_FAILED) {
    const Error error = internal::system_error("cannot take room for a spool", path, errno);
    ::close(file);
    ::unlink(path.c_str());
    return error;
  }
  ::close(file);
  spool->mapped_ = static_cast<char*>(place);
  spool->mapped_bytes_ = bytes;
  spool->ring_bytes_ = bytes - kHeaderBytes;
  Header header;
  header.magic = kMagic;
  header.id = id;
  header.ring_bytes = spool->ring_bytes_;
  const std::string boot = internal::boot_of_machine();
  std::memcpy(header.boot, boot.data(), std::min(boot.size(), sizeof header.boot));
  header.check = header_check(header);
  std::memcpy(spool->mapped_, &header, sizeof header);
  std::atomic_thread_fence(std::memory_order_release);
  return spool;
}

Spool::~Spool() {
  if (mapped_ == nullptr) return;
  ::munmap(mapped_, mapped_bytes_);
  // Every record is committed: nothing would be found at the next start.
  if (published_.load() == released_.load()) ::unlink(path_.c_str());
}

size_t Spool::record_bytes_max() const { return ring_bytes_ / 4 - frame_bytes(0); }

// Null: full.
char* Spool::room_for(size_t wanted) {
  uint64_t begin = settled(head_, ring_bytes_);
  const uint64_t rest = ring_bytes_ - begin % ring_bytes_;
  const bool wraps = rest < wanted;
  const uint64_t end = begin + (wraps ? rest : 0) + wanted;
  if (end - released_.load(std::memory_order_acquire) > ring_bytes_) return nullptr;
  char* ring = mapped_ + kHeaderBytes;
  if (wraps) {
    std::memcpy(ring + begin % ring_bytes_, &kWrap, sizeof kWrap);
    begin += rest;
  }
  head_ = begin;
  return ring + begin % ring_bytes_;
}

Result<void> Spool::append(Log log, PartitionId partition, Seq seq, std::string_view record) {
  if (record.size() > record_bytes_max())
    return Error{ErrorCode::kExhausted,
                 fmt::format("a record of {} bytes is larger than the {} that fit", record.size(),
                             record_bytes_max()),
                 path_, ""};
  const size_t whole = frame_bytes(record.size());
  char* const place = room_for(whole);
  if (place == nullptr)
    return Error{ErrorCode::kExhausted, "the spool is full until the next commit", path_,
                 "try again in a few milliseconds; if it lasts, see why commits wait"};
  const Frame head{static_cast<uint32_t>(record.size()),
                   static_cast<uint32_t>(log),
                   id_,
                   ++number_,
                   seq.value(),
                   partition.value(),
                   0};
  std::memcpy(place, &head, sizeof head);
  std::memcpy(place + sizeof head, record.data(), record.size());
  const size_t padded = whole - sizeof(uint64_t);
  std::memset(place + sizeof head + record.size(), 0, padded - sizeof head - record.size());
  const uint64_t check = checksum64({place, padded});
  std::memcpy(place + padded, &check, sizeof check);
  head_ += whole;
  published_.store(head_, std::memory_order_release);
  return {};
}

bool Spool::drain(Txn& txn) {
  const uint64_t end = published_.load(std::memory_order_acquire);
  if (drained_ == end) return false;
  const Ring ring({mapped_ + kHeaderBytes, ring_bytes_}, id_);
  while (drained_ != end) {
    const auto frame = ring.at(drained_);
    // What this process wrote a moment ago is whole, unless its memory is not.
    QW_ASSERT(frame && frame->head.number == drained_number_ + 1);
    txn.append(static_cast<Log>(frame->head.log), PartitionId{frame->head.partition},
               Seq{frame->head.seq}, frame->record);
    drained_number_ = frame->head.number;
    drained_ = frame->next;
  }
  txn.put_meta(meta::spool(id_), std::to_string(drained_number_));
  return true;
}

void Spool::release() {
  std::memcpy(mapped_ + offsetof(Header, released), &drained_, sizeof drained_);
  released_.store(drained_, std::memory_order_release);
}

namespace {

// How many frames of this spool the store holds.
Result<uint64_t> committed_of(const Store& store, uint64_t id) {
  QW_ASSIGN(const auto text, store.get_meta(meta::spool(id)));
  uint64_t number = 0;
  if (!text) return number;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (failed != std::errc{} || end != text->data() + text->size())
    return Error{ErrorCode::kCorrupt, "the place of a spool is damaged", meta::spool(id),
                 "restore the data folder from a copy"};
  return number;
}

// What one file holds that is not committed.
struct Recovered {
  std::vector<FoundFrame> frames;
  bool damaged = false;  // whole frames follow one that is not
};

Recovered read_ring(const Ring& ring, uint64_t from, uint64_t committed) {
  Recovered found;
  uint64_t last = 0;
  for (auto frame = ring.at(from); frame; frame = ring.at(frame->next)) {
    if (last != 0 && frame->head.number != last + 1) break;
    last = frame->head.number;
    if (last > committed) found.frames.push_back(*frame);
  }
  // A gap after what is committed, or whole frames behind the end: something in between is missing.
  found.damaged = ring.highest() > std::max(last, committed) ||
                  (!found.frames.empty() && found.frames.front().head.number != committed + 1);
  return found;
}

Result<void> recover_file(const std::string& path, const Store& store, Txn& txn,
                          SpoolRecovery& recovery) {
  QW_ASSIGN(const std::string bytes, read_file(path));
  Header header;
  if (bytes.size() >= kHeaderBytes) std::memcpy(&header, bytes.data(), sizeof header);
  const bool readable = header.magic == kMagic && header.check == header_check(header) &&
                        header.ring_bytes == bytes.size() - kHeaderBytes;
  if (!readable) {
    // Made and not yet begun, or taken by a power cut: in neither case does it hold a promise.
    if (bytes.find_first_not_of('\0') != std::string::npos)
      recovery.notes.push_back(fmt::format("{}: its head is not readable", path));
    return {};
  }
  const bool restarted =
      internal::boot_of_machine() != std::string(header.boot, strnlen(header.boot, 40));
  QW_ASSIGN(const uint64_t committed, committed_of(store, header.id));
  const Ring ring(std::string_view(bytes).substr(kHeaderBytes), header.id);
  const Recovered found = read_ring(ring, header.released, committed);
  if (found.damaged && !restarted)
    return Error{ErrorCode::kCorrupt,
                 "a spool is damaged: records that were acknowledged are missing in it", path,
                 "move the file away to go on without its records, or restore the data folder"};
  if (found.damaged)
    recovery.notes.push_back(
        fmt::format("{}: the machine stopped; only what reached its disk is there", path));
  for (const FoundFrame& frame : found.frames)
    txn.append(static_cast<Log>(frame.head.log), PartitionId{frame.head.partition},
               Seq{frame.head.seq}, frame.record);
  if (!found.frames.empty())
    txn.put_meta(meta::spool(header.id), std::to_string(found.frames.back().head.number));
  recovery.records += found.frames.size();
  return {};
}

// "<16 hex digits>.spool"
bool is_spool(const std::string& name) {
  return name.size() == 16 + kSuffix.size() && name.ends_with(kSuffix) &&
         name.find_first_not_of("0123456789abcdef") == 16;
}

}  // namespace

Result<SpoolRecovery> recover_spools(const std::string& folder, const Store& store, Txn& txn) {
  QW_ASSERT(txn.empty());
  SpoolRecovery recovery;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed))
    if (is_spool(entry->path().filename().string()))
      recovery.files.push_back(entry->path().string());
  if (failed && failed != std::errc::no_such_file_or_directory)
    return Error{ErrorCode::kIo, "cannot list the spools: " + failed.message(), folder, ""};
  std::sort(recovery.files.begin(), recovery.files.end());
  Txn staged;
  for (const std::string& file : recovery.files)
    QW_TRY(recover_file(file, store, staged, recovery));
  txn = std::move(staged);
  QW_TRY(store.scan_meta(meta::kSpool, [&](std::string_view, std::string_view) {
    recovery.remembered = true;
    return false;
  }));
  return recovery;
}

Result<void> remove_spools(const SpoolRecovery& recovery, Txn& txn) {
  for (const std::string& file : recovery.files)
    if (::unlink(file.c_str()) != 0 && errno != ENOENT)
      return internal::system_error("cannot remove a spool", file, errno);
  txn.erase_meta_prefix(meta::kSpool);
  return {};
}

}  // namespace qw::store
