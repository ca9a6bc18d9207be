#include <rocksdb/comparator.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <tuple>

#include "store/internal/batch_family.h"
#include "store/internal/keys.h"
#include "store/store.h"

namespace qw::store {

using internal::batch_family;
using internal::Family;

namespace internal {
namespace {

// A write batch needs only the id of a column family, and ours are fixed; so a transaction can be
// built without an open store.
class BatchFamily final : public rocksdb::ColumnFamilyHandle {
 public:
  explicit BatchFamily(Family family)
      : id_(static_cast<uint32_t>(family)), name_(kFamilyNames[id_]) {}
  const std::string& GetName() const override { return name_; }
  uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override {
    return rocksdb::Status::NotSupported("only an id");
  }
  const rocksdb::Comparator* GetComparator() const override {
    return rocksdb::BytewiseComparator();
  }

 private:
  uint32_t id_;
  std::string name_;
};

}  // namespace

rocksdb::ColumnFamilyHandle* batch_family(Family family) {
  static BatchFamily handles[] = {BatchFamily{Family::kDefault}, BatchFamily{Family::kLog},
                                  BatchFamily{Family::kMeta}, BatchFamily{Family::kOutbox},
                                  BatchFamily{Family::kState}};
  return &handles[static_cast<size_t>(family)];
}

}  // namespace internal

namespace {

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }

// Building a batch in memory fails only when a limit on its size is set, and none is.
void must(const rocksdb::Status& status) { QW_ASSERT(status.ok()); }

}  // namespace

Txn::Txn() : batch_(std::make_unique<rocksdb::WriteBatch>()) {}
Txn::~Txn() = default;
Txn::Txn(Txn&& other) noexcept = default;
Txn& Txn::operator=(Txn&& other) noexcept = default;

void Txn::append(Log log, PartitionId partition, Seq seq, std::string_view record) {
  QW_ASSERT(seq > Seq{0});
  log_rows_.push_back({log, partition, seq, log_bytes_.size(), record.size()});
  log_bytes_ += record;
}

void Txn::gather() {
  std::sort(log_rows_.begin(), log_rows_.end(), [](const LogRow& one, const LogRow& other) {
    return std::tie(one.log, one.partition, one.seq, one.begin) <
           std::tie(other.log, other.partition, other.seq, other.begin);
  });
  for (const LogRow& row : log_rows_)
    must(batch_->Put(batch_family(Family::kLog), internal::log_key(row.log, row.partition, row.seq),
                     slice(std::string_view(log_bytes_).substr(row.begin, row.size))));
  log_rows_.clear();
  log_bytes_.clear();
}

void Txn::trim(Log log, PartitionId partition, Seq from, Seq to) {
  if (from == Seq{0}) from = Seq{1};  // seq 0 holds the mark below
  if (to <= from) return;
  gather();  // what was appended before is removed as well
  auto* family = batch_family(Family::kLog);
  must(batch_->DeleteRange(family, internal::log_key(log, partition, from),
                           internal::log_key(log, partition, to)));
  must(batch_->Put(family, internal::log_key(log, partition, Seq{0}),
                   internal::u64_value(to.value() - 1)));
}

namespace {

// Repeats the changes of one batch in another.
class Repeater final : public rocksdb::WriteBatch::Handler {
 public:
  explicit Repeater(rocksdb::WriteBatch& into) : into_(into) {}
  rocksdb::Status PutCF(uint32_t family, const rocksdb::Slice& key,
                        const rocksdb::Slice& value) override {
    return into_.Put(batch_family(static_cast<Family>(family)), key, value);
  }
  rocksdb::Status DeleteCF(uint32_t family, const rocksdb::Slice& key) override {
    return into_.Delete(batch_family(static_cast<Family>(family)), key);
  }
  rocksdb::Status DeleteRangeCF(uint32_t family, const rocksdb::Slice& from,
                                const rocksdb::Slice& to) override {
    return into_.DeleteRange(batch_family(static_cast<Family>(family)), from, to);
  }

 private:
  rocksdb::WriteBatch& into_;
};

}  // namespace

void Txn::add(Txn& other) {
  if (empty()) return std::swap(*this, other);
  const size_t behind = log_bytes_.size();
  for (LogRow row : other.log_rows_) {
    row.begin += behind;
    log_rows_.push_back(row);
  }
  log_bytes_ += other.log_bytes_;
  Repeater repeater(*batch_);
  must(other.batch_->Iterate(&repeater));
  other.clear();
}

void Txn::put_meta(std::string_view name, std::string_view value) {
  must(batch_->Put(batch_family(Family::kMeta), slice(name), slice(value)));
}

void Txn::erase_meta(std::string_view name) {
  must(batch_->Delete(batch_family(Family::kMeta), slice(name)));
}

void Txn::erase_meta_prefix(std::string_view prefix) {
  must(batch_->DeleteRange(batch_family(Family::kMeta), slice(prefix),
                           internal::after_prefix(std::string(prefix))));
}

void Txn::put_outbox(std::string_view sink, Seq seq, std::string_view row) {
  QW_ASSERT(seq > Seq{0});
  auto* family = batch_family(Family::kOutbox);
  must(batch_->Put(family, internal::outbox_key(sink, seq), slice(row)));
  must(batch_->Put(family, internal::outbox_key(sink, Seq{0}), internal::u64_value(seq.value())));
}

void Txn::erase_outbox(std::string_view sink, Seq seq) {
  must(batch_->Delete(batch_family(Family::kOutbox), internal::outbox_key(sink, seq)));
}

size_t Txn::checkpoint(const StateId& id, Seq applied, std::string_view bytes, StatePages& pages) {
  const size_t before = batch_->GetDataSize();
  auto* family = batch_family(Family::kState);
  const auto count = static_cast<uint32_t>((bytes.size() + kStatePageBytes - 1) / kStatePageBytes);
  const auto known = static_cast<uint32_t>(pages.page_hashes.size());
  std::string key = internal::state_key(internal::kPageTag, id);
  const size_t prefix = key.size();
  pages.page_hashes.resize(count);
  for (uint32_t page = 0; page < count; ++page) {
    const std::string_view content = bytes.substr(page * kStatePageBytes, kStatePageBytes);
    const uint64_t hash = checksum64(content);
    // A last page that changed its length changed its hash: XXH3 covers the length.
    if (page < known && pages.page_hashes[page] == hash) continue;
    pages.page_hashes[page] = hash;
    key.resize(prefix);
    internal::append_page(key, page);
    must(batch_->Put(family, key, slice(content)));
  }
  for (uint32_t page = count; page < known; ++page) {
    key.resize(prefix);
    internal::append_page(key, page);
    must(batch_->Delete(family, key));
  }
  pages.size_bytes = bytes.size();
  const internal::StateHeader header{applied, bytes.size(), count, checksum64(bytes)};
  must(batch_->Put(family, internal::state_key(internal::kHeaderTag, id),
                   internal::encode_header(header)));
  return batch_->GetDataSize() - before;
}

void Txn::erase_state(const StateId& id) {
  auto* family = batch_family(Family::kState);
  must(batch_->Delete(family, internal::state_key(internal::kHeaderTag, id)));
  const std::string first = internal::state_key(internal::kPageTag, id);
  must(batch_->DeleteRange(family, first, internal::after_prefix(first)));
}

void Txn::erase_owner(std::string_view owner) {
  for (const char tag : {internal::kHeaderTag, internal::kPageTag}) {
    const std::string first = internal::state_owner_prefix(tag, owner);
    must(batch_->DeleteRange(batch_family(Family::kState), first, internal::after_prefix(first)));
  }
}

bool Txn::empty() const { return batch_->Count() == 0 && log_rows_.empty(); }

size_t Txn::bytes() const {
  constexpr size_t kKeyBytes = 17;  // a log row's key and lengths in the batch
  return batch_->GetDataSize() + log_bytes_.size() + log_rows_.size() * kKeyBytes;
}

void Txn::clear() {
  batch_->Clear();
  log_rows_.clear();
  log_bytes_.clear();
}

}  // namespace qw::store
