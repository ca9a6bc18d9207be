#include "store/commit/checkpointer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "store/commit/meta_names.h"
#include "store/segments/history.h"

namespace qw::store {
namespace {

constexpr size_t kRebuiltAtOnce = 16'384;  // records between two checkpoints

bool read_seq(std::string_view text, Seq& seq) {
  uint64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{})
    return false;
  seq = Seq{number};
  return true;
}

Error damaged(const Store& store, std::string_view name) {
  return {ErrorCode::kCorrupt, fmt::format("the setting '{}' is damaged", name), store.folder(),
          "restore the data folder from a copy"};
}

void put_low_water(Txn& txn, const KeyedTable& table, Seq low) {
  txn.put_meta(meta::low_water(table.owner(), table.partition()), std::to_string(low.value()));
}

}  // namespace

Result<Seq> stored_low_water(const Store& store, const std::string& owner, PartitionId partition) {
  const std::string name = meta::low_water(owner, partition);
  QW_ASSIGN(const auto value, store.get_meta(name));
  Seq seq{0};
  if (value && !read_seq(*value, seq)) return damaged(store, name);
  return seq;
}

Result<std::map<PartitionId, Seq>> stored_low_waters(const Store& store, const std::string& owner) {
  std::map<PartitionId, Seq> all;
  std::optional<Error> trouble;
  const std::string low_waters = meta::low_waters_of(owner);
  QW_TRY(store.scan_meta(low_waters, [&](std::string_view name, std::string_view value) {
    const auto low = meta::parse_low_water(name);
    if (!low || !read_seq(value, all[low->partition])) trouble = damaged(store, name);
    return !trouble;
  }));
  if (trouble) return *trouble;
  return all;
}

void Checkpointer::add(std::shared_ptr<KeyedTable> table, const Seq& head) {
  tables_.push_back({std::move(table), &head});
}

void Checkpointer::remove(const std::string& owner) {
  std::erase_if(tables_, [&](const Entry& entry) { return entry.table->owner() == owner; });
}

Result<size_t> Checkpointer::write(bool all) {
  size_t left = 0;
  bool late = false;
  for (const Entry& entry : tables_) {
    QW_ASSIGN(const size_t of_table, write_entry(entry.table, *entry.head, all, late));
    left += of_table;
  }
  late_ = late;
  return left;
}

Result<size_t> Checkpointer::write_table(const std::shared_ptr<KeyedTable>& table, Seq head) {
  bool late = false;
  return write_entry(table, head, /*all=*/true, late);
}

Result<size_t> Checkpointer::write_entry(const std::shared_ptr<KeyedTable>& table, Seq head,
                                         bool all, bool& late) {
  PendingCommit& open = lane_.open();
  const int64_t now_us = all ? KeyedTable::kAllAreDue : clock_.monotonic_ns() / 1000;
  const size_t budget = all || late_ ? options_.catch_up_bytes : options_.budget_bytes;
  QW_ASSIGN(const CheckpointPass pass, table->checkpoint_some(open.txn, now_us, budget));
  late |= pass.behind_us > options_.replay_max_us / 20;
  if (pass.states == 0) return pass.left;
  put_low_water(open.txn, *table, table->low_water(head));
  open.then.push_back([table, ticket = pass.ticket] { table->committed(ticket); });
  return pass.left;
}

Result<void> Checkpointer::write_now(const std::shared_ptr<KeyedTable>& table, Seq head) {
  Txn txn;
  QW_ASSIGN(const CheckpointPass pass,
            table->checkpoint_some(txn, KeyedTable::kAllAreDue, SIZE_MAX));
  put_low_water(txn, *table, table->low_water(head));
  QW_TRY(store_.commit(txn, Durability::kProcess));
  table->committed(pass.ticket);
  return {};
}

Result<size_t> Checkpointer::rebuild(const std::vector<std::shared_ptr<KeyedTable>>& tables,
                                     Log log, Seq from, Seq last, const Apply& apply) {
  for (const auto& table : tables) QW_TRY(table->finish_recovery(clock_.monotonic_ns() / 1000));
  History history(store_);
  size_t total = 0;
  while (from <= last) {
    size_t read = 0;
    Result<void> applied;
    QW_TRY(history.scan(log, tables.front()->partition(), from, next(last),
                        [&](Seq seq, std::string_view record) {
                          applied = apply(seq, record);
                          from = next(seq);
                          return applied.ok() && ++read < kRebuiltAtOnce;
                        }));
    QW_TRY(applied);
    total += read;
    if (read == 0) from = next(last);
    for (const auto& table : tables) QW_TRY(write_now(table, Seq{from.value() - 1}));
  }
  return total;
}

std::optional<Seq> Checkpointer::settle(PartitionId wanted) {
  std::optional<Seq> settled;
  for (const Entry& entry : tables_) {
    if (entry.table->partition() != wanted) continue;
    const Seq low = entry.table->low_water(*entry.head);
    settled = settled ? std::min(*settled, low) : low;
    put_low_water(lane_.open().txn, *entry.table, low);
  }
  return settled;
}

std::map<std::string, StateLag> Checkpointer::lags() const {
  std::map<std::string, StateLag> lags;
  for (const Entry& entry : tables_) {
    const KeyedTable::Stats stats = entry.table->stats();
    StateLag& lag = lags[entry.table->owner()];
    const Seq low = entry.table->low_water(*entry.head);
    lag.events += *entry.head > low ? entry.head->value() - low.value() : 0;
    lag.dirty += stats.dirty;
    lag.catching_up += stats.pending_keys;
  }
  return lags;
}

size_t Checkpointer::to_replay() const {
  size_t records = 0;
  for (const Entry& entry : tables_) records += entry.table->stats().pending_records;
  return records;
}

std::vector<std::shared_ptr<KeyedTable>> Checkpointer::cold() const {
  std::vector<std::shared_ptr<KeyedTable>> cold;
  for (const Entry& entry : tables_)
    if (entry.table->stats().pending_keys > 0) cold.push_back(entry.table);
  return cold;
}

}  // namespace qw::store
