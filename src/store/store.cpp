#include "store/store.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include <filesystem>

#include "base/fail_point.h"
#include "base/log.h"
#include "store/internal/database.h"
#include "store/internal/folder.h"
#include "store/internal/keys.h"
#include "store/internal/opening.h"
#include "store/internal/reader_gate.h"

namespace qw::store {

using internal::error_of;
using internal::Family;

namespace {

std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }
rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }

// One pass over [from, to) of a family as of one moment.
class Range {
 public:
  Range(const internal::Database& database, Family family, std::string from, std::string to,
        const rocksdb::Snapshot* snapshot = nullptr)
      : from_(std::move(from)), to_(std::move(to)), lower_(from_), upper_(to_) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_lower_bound = &lower_;
    options.iterate_upper_bound = &upper_;
    rows_.reset(database.db->NewIterator(options, database.family(family)));
  }
  rocksdb::Iterator* operator->() const { return rows_.get(); }
  std::string_view key() const { return view(rows_->key()); }
  std::string_view value() const { return view(rows_->value()); }

 private:
  std::string from_, to_;
  rocksdb::Slice lower_, upper_;
  std::unique_ptr<rocksdb::Iterator> rows_;
};

// The state rows as of one moment, so that a header and its pages belong together.
class Moment {
 public:
  explicit Moment(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
  ~Moment() { db_.ReleaseSnapshot(snapshot_); }
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  const rocksdb::Snapshot* snapshot() const { return snapshot_; }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
};

Error damaged_state(const StateId& id, const std::string& what) {
  return Error{ErrorCode::kCorrupt, what,
               fmt::format("state {} partition {} key {}", id.owner, id.partition.value(), id.key),
               "restore the data folder from a copy, or erase this owner's state so that it is "
               "rebuilt"};
}

}  // namespace

struct Store::Impl {
  StoreOptions options;
  std::string folder;
  const Clock* clock = nullptr;
  internal::FolderLock lock;          // before the database: released after it
  mutable internal::ReaderGate gate;  // closed while the committing thread reopens the database
  internal::Opened opened;
  internal::Database& database = opened.database;
  bool failing = false;  // the database refused a write; the committing thread's
  Counter* commits = nullptr;
  Counter* commit_bytes = nullptr;
  Counter* failures = nullptr;
  LatencyHistogram* commit_latency = nullptr;

  ~Impl() {
    // What is found at the next start is then known to the last change, on any machine.
    if (database.db != nullptr && !options.read_only && !failing && database.db->SyncWAL().ok())
      opened.end.note(database.db->GetLatestSequenceNumber(), true);
  }
  Result<void> check(const rocksdb::Status& status, const char* doing) const {
    if (status.ok()) return {};
    return error_of(status, doing, folder);
  }
  Result<void> require_open() const {
    if (database.db != nullptr) return {};
    return Error{ErrorCode::kUnavailable,
                 "the database could not be opened again after a disk error", folder,
                 "free some disk space, or check the disk; the next commit tries again"};
  }
  Result<void> reopen();
  rocksdb::Status write(rocksdb::WriteBatch& batch, bool sync) const {
    rocksdb::WriteOptions options;
    options.sync = sync;
    return batch.Count() > 0 ? database.db->Write(options, &batch)
           : sync            ? database.db->SyncWAL()
                             : rocksdb::Status::OK();
  }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options, MetricRegistry& metrics) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (options.boot.empty()) impl->options.boot = internal::boot_of_machine();
  impl->folder = options.folder;
  impl->clock = options.clock != nullptr ? options.clock : &real_clock();
  if (options.read_only) {
    QW_ASSIGN(impl->lock, internal::FolderLock::look(options.folder));
    QW_ASSIGN(impl->opened, internal::look_at_folder(impl->options));
  } else {
    QW_ASSIGN(impl->lock, internal::FolderLock::take(options.folder));
    QW_ASSIGN(impl->opened, internal::open_folder(impl->options));
  }
  impl->commits = &metrics.counter("quickwater_store_commits_total", "Commits made durable.");
  impl->commit_bytes =
      &metrics.counter("quickwater_store_commit_bytes_total", "Bytes of committed changes.");
  impl->failures = &metrics.counter("quickwater_store_commit_failures_total",
                                    "Commits refused (disk full or failing); they are retried.");
  impl->commit_latency =
      &metrics.latency("quickwater_store_commit_seconds", "Time from commit to durable.");
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

// After a failed write to its log RocksDB 7.8 refuses every other, even when resumed (the log's
// writer remembers the error); only a new log helps.
Result<void> Store::Impl::reopen() {
  const internal::ReaderGate::Closed closed(gate);
  database.close();
  QW_ASSIGN(database, internal::open_database(options));
  failing = false;
  log::info("store", "the disk works again; opened {} anew", folder);
  return {};
}

Result<void> Store::commit(Txn& txn, Durability durability) {
  if (impl_->options.read_only)
    return Error{ErrorCode::kUnsupported, "the data folder was opened for reading alone",
                 impl_->folder, ""};
  const int64_t begun_ns = impl_->clock->monotonic_ns();
  const bool sync = durability == Durability::kMachine;
  txn.gather();
  const size_t bytes = txn.bytes();
  fail_point("store.before_commit");
  Result<void> done = internal::require_space(impl_->options, impl_->failing);
  if (done.ok() && impl_->failing) done = impl_->reopen();
  if (done.ok()) {
    done = impl_->check(impl_->write(*txn.batch_, sync), "cannot commit");
    impl_->failing = !done.ok();
  }
  if (!done.ok()) {
    impl_->failures->add();
    return done;
  }
  impl_->opened.end.note(impl_->database.db->GetLatestSequenceNumber(), sync);
  fail_point("store.after_commit");
  txn.clear();
  impl_->commits->add();
  impl_->commit_bytes->add(bytes);
  impl_->commit_latency->record_ns(impl_->clock->monotonic_ns() - begun_ns);
  return {};
}

Result<void> Store::scan(Log log, PartitionId partition, Seq from, Seq to,
                         const RecordVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  if (from == Seq{0}) from = Seq{1};
  if (to <= from) return {};
  Range rows(impl_->database, Family::kLog, internal::log_key(log, partition, from),
             internal::log_key(log, partition, to));
  for (rows->SeekToFirst(); rows->Valid(); rows->Next())
    if (!visit(Seq{internal::trailing_u64(rows.key())}, rows.value())) break;
  return impl_->check(rows->status(), "cannot read a log");
}

Result<Seq> Store::scan_tail(Log log, PartitionId partition, Seq from, Seq to,
                             const RecordVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  Range rows(impl_->database, Family::kLog, internal::log_key(log, partition, Seq{0}),
             internal::log_key(log, partition, std::max(to, Seq{1})));
  Seq begin{1};
  rows->SeekToFirst();
  if (rows->Valid() && internal::trailing_u64(rows.key()) == 0)
    begin = Seq{internal::trailing_u64(rows.value()) + 1};
  if (from >= begin && from < to)
    for (rows->Seek(slice(internal::log_key(log, partition, from))); rows->Valid(); rows->Next())
      if (!visit(Seq{internal::trailing_u64(rows.key())}, rows.value())) break;
  QW_TRY(impl_->check(rows->status(), "cannot read a log"));
  return begin;
}

Result<void> Store::read(Log log, PartitionId partition, const std::vector<Seq>& seqs,
                         const RecordVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  constexpr size_t kBatch = 64;
  const internal::Database& database = impl_->database;
  for (size_t done = 0; done < seqs.size(); done += kBatch) {
    const size_t count = std::min(kBatch, seqs.size() - done);
    std::vector<std::string> keys;
    for (size_t i = 0; i < count; ++i)
      keys.push_back(internal::log_key(log, partition, seqs[done + i]));
    const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
    std::vector<rocksdb::PinnableSlice> records(count);
    std::vector<rocksdb::Status> statuses(count);
    database.db->MultiGet(rocksdb::ReadOptions(), database.family(Family::kLog), count,
                          slices.data(), records.data(), statuses.data(), true);
    for (size_t i = 0; i < count; ++i) {
      if (statuses[i].IsNotFound())
        return Error{ErrorCode::kCorrupt,
                     fmt::format("record {} of log {} partition {} is missing",
                                 seqs[done + i].value(), static_cast<int>(log), partition.value()),
                     impl_->folder, "restore the data folder from a copy"};
      QW_TRY(impl_->check(statuses[i], "cannot read a log"));
      if (!visit(seqs[done + i], view(records[i]))) return {};
    }
  }
  return {};
}

Result<void> Store::scan_back(Log log, PartitionId partition, Seq before, size_t count,
                              const RecordVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  if (before <= Seq{1}) return {};
  Range rows(impl_->database, Family::kLog, internal::log_key(log, partition, Seq{1}),
             internal::log_key(log, partition, before));
  for (rows->SeekToLast(); rows->Valid() && count > 0; rows->Prev(), --count)
    if (!visit(Seq{internal::trailing_u64(rows.key())}, rows.value())) break;
  return impl_->check(rows->status(), "cannot read a log");
}

namespace {

// The higher of the last row's seq and the mark in row 0; both may be absent.
Result<Seq> highest(const internal::Database& database, Family family, std::string first,
                    std::string end, const std::string& folder) {
  Range rows(database, family, std::move(first), std::move(end));
  uint64_t last = 0;
  rows->SeekToLast();
  if (rows->Valid()) last = internal::trailing_u64(rows.key());
  rows->SeekToFirst();
  if (rows->Valid() && internal::trailing_u64(rows.key()) == 0)
    last = std::max(last, internal::trailing_u64(rows.value()));
  if (!rows->status().ok()) return error_of(rows->status(), "cannot read the last row", folder);
  return Seq{last};
}

}  // namespace

Result<Seq> Store::last_seq(Log log, PartitionId partition) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  return highest(impl_->database, Family::kLog, internal::log_key(log, partition, Seq{0}),
                 internal::log_end(log, partition), impl_->folder);
}

Result<std::vector<std::string>> Store::outbox_sinks() const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  std::vector<std::string> sinks;
  const std::unique_ptr<rocksdb::Iterator> rows(impl_->database.db->NewIterator(
      rocksdb::ReadOptions(), impl_->database.family(Family::kOutbox)));
  for (rows->SeekToFirst(); rows->Valid();) {
    auto name = internal::unescape(view(rows->key()).substr(0, rows->key().size() - 8));
    if (!name)
      return Error{ErrorCode::kCorrupt, "the name of a sink in the outbox is damaged",
                   impl_->folder, "restore the data folder from a copy"};
    rows->Seek(slice(internal::outbox_end(*name)));
    sinks.push_back(std::move(*name));
  }
  QW_TRY(impl_->check(rows->status(), "cannot read the outbox"));
  return sinks;
}

Result<Seq> Store::last_outbox_seq(std::string_view sink) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  return highest(impl_->database, Family::kOutbox, internal::outbox_key(sink, Seq{0}),
                 internal::outbox_end(sink), impl_->folder);
}

Result<std::optional<std::string>> Store::get_meta(std::string_view name) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  std::string value;
  const rocksdb::Status status = impl_->database.db->Get(
      rocksdb::ReadOptions(), impl_->database.family(Family::kMeta), slice(name), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  QW_TRY(impl_->check(status, "cannot read a setting"));
  return std::optional(std::move(value));
}

Result<void> Store::scan_meta(std::string_view prefix, const MetaVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  rocksdb::ReadOptions options;
  const std::unique_ptr<rocksdb::Iterator> rows(
      impl_->database.db->NewIterator(options, impl_->database.family(Family::kMeta)));
  for (rows->Seek(slice(prefix)); rows->Valid() && rows->key().starts_with(slice(prefix));
       rows->Next())
    if (!visit(view(rows->key()), view(rows->value()))) break;
  return impl_->check(rows->status(), "cannot read settings");
}

Result<void> Store::scan_outbox(std::string_view sink, Seq from, size_t limit,
                                const OutboxVisitor& visit) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  if (from == Seq{0}) from = Seq{1};
  Range rows(impl_->database, Family::kOutbox, internal::outbox_key(sink, from),
             internal::outbox_end(sink));
  for (rows->SeekToFirst(); rows->Valid() && limit > 0; rows->Next(), --limit)
    if (!visit(Seq{internal::trailing_u64(rows.key())}, rows.value())) break;
  return impl_->check(rows->status(), "cannot read the outbox");
}

Result<std::optional<StateImage>> Store::load_state(const StateId& id, StatePages& pages) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  pages = StatePages{};
  const internal::Database& database = impl_->database;
  const Moment moment(*database.db);
  rocksdb::ReadOptions options;
  options.snapshot = moment.snapshot();
  std::string sealed;
  const rocksdb::Status status =
      database.db->Get(options, database.family(Family::kState),
                       internal::state_key(internal::kHeaderTag, id), &sealed);
  if (status.IsNotFound()) return std::optional<StateImage>();
  QW_TRY(impl_->check(status, "cannot read a state"));
  const Result<internal::StateHeader> header = internal::decode_header(sealed);
  if (!header.ok()) return damaged_state(id, header.error().message);

  StateImage image{header->applied, {}};
  image.bytes.reserve(header->size_bytes);
  const std::string first = internal::state_key(internal::kPageTag, id);
  std::string end = first;
  internal::append_page(end, header->pages);
  Range rows(database, Family::kState, first, end, moment.snapshot());
  for (rows->SeekToFirst(); rows->Valid(); rows->Next()) {
    const auto page = static_cast<uint32_t>(internal::trailing_u64(rows.key()));
    const size_t rest = header->size_bytes - image.bytes.size();
    if (page != pages.page_hashes.size() || rows.value().size() != std::min(rest, kStatePageBytes))
      return damaged_state(id, fmt::format("page {} of a stored state is missing or damaged",
                                           pages.page_hashes.size()));
    pages.page_hashes.push_back(checksum64(rows.value()));
    image.bytes.append(rows.value());
  }
  QW_TRY(impl_->check(rows->status(), "cannot read a state"));
  if (image.bytes.size() != header->size_bytes)
    return damaged_state(id, "the last pages of a stored state are missing");
  if (checksum64(image.bytes) != header->checksum)
    return damaged_state(id, "a stored state fails its checksum");
  pages.size_bytes = image.bytes.size();
  return std::optional(std::move(image));
}

Result<void> Store::scan_states(std::string_view owner, PartitionId partition,
                                const KeyVisitor& visit,
                                std::optional<std::string_view> after) const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  const std::string prefix =
      internal::state_partition_prefix(internal::kHeaderTag, owner, partition);
  Range rows(impl_->database, Family::kState, prefix, internal::after_prefix(prefix));
  rows->SeekToFirst();
  if (after) {
    const std::string row = internal::state_key(
        internal::kHeaderTag, {std::string(owner), partition, std::string(*after)});
    rows->Seek(row);
    if (rows->Valid() && rows.key() == row) rows->Next();
  }
  for (; rows->Valid(); rows->Next()) {
    const auto key = internal::unescape(rows.key().substr(prefix.size()));
    QW_ASSIGN(const internal::StateHeader header, internal::decode_header(rows.value()));
    if (!key.has_value())
      return Error{ErrorCode::kCorrupt, "the key of a stored state is damaged", impl_->folder, ""};
    if (!visit(*key, header.applied)) break;
  }
  return impl_->check(rows->status(), "cannot list states");
}

uint64_t Store::disk_bytes() const {
  uint64_t total = 0;
  std::error_code failed;
  std::filesystem::recursive_directory_iterator entry(impl_->folder, failed);
  while (!failed && entry != std::filesystem::recursive_directory_iterator()) {
    std::error_code vanished;  // a file may be removed while we walk
    const auto size = entry->file_size(vanished);
    if (!vanished) total += size;
    entry.increment(failed);
  }
  return total;
}

const std::string& Store::folder() const { return impl_->folder; }
const std::string& Store::id() const { return impl_->opened.facts.id; }

const std::vector<Loss>& Store::losses() const { return impl_->opened.losses; }

Result<void> Store::verify() const {
  const internal::ReaderGate::Reading reading(impl_->gate);
  QW_TRY(impl_->require_open());
  return impl_->check(impl_->database.db->VerifyChecksum(), "a table of the database is damaged");
}

Result<void> Store::note_registry() {
  if (impl_->opened.facts.has_registry) return {};
  impl_->opened.facts.has_registry = true;
  return write_facts(impl_->folder, impl_->opened.facts);
}

}  // namespace qw::store
