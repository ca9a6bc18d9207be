#include "app/runtime/log_tails.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>

#include "app/runtime/rolled_logs.h"
#include "base/files.h"
#include "store/commit/meta_names.h"
#include "store/segments/parquet.h"
#include "store/segments/segment.h"

namespace qw::app {
namespace {

constexpr Seq kEnd{std::numeric_limits<uint64_t>::max()};
// Held in memory at once; the rest goes into further files.
constexpr size_t kFileBytes = 16u << 20;

struct Piece {
  store::SegmentRows rows;
  bool more = false;
};

Result<Piece> next_piece(const RolledLog& log, const store::Store& store, Seq from) {
  Piece piece{store::SegmentRows(std::make_shared<const schema::Schema>())};
  Result<void> read;
  QW_TRY(store.scan(log.log, log.partition, from, kEnd, [&](Seq seq, std::string_view record) {
    if (piece.rows.record_bytes >= kFileBytes) {
      piece.more = true;
      return false;
    }
    const auto row = log.row(record);
    if (!row.ok()) {
      read = row.error();
      return false;
    }
    if (piece.rows.seqs.empty()) piece.rows = store::SegmentRows(row->columns);
    // A file has the columns of one schema.
    const auto& columns = piece.rows.columns.schema_ptr();
    piece.more = row->columns != columns && *row->columns != *columns;
    if (piece.more) return false;
    piece.rows.columns.append_row(row->cells);
    piece.rows.add(seq, record);
    return true;
  }));
  QW_TRY(read);
  return piece;
}

}  // namespace

Result<std::string> write_tails(const Plan& plan, const store::Store& store,
                                const std::string& folder, const std::function<bool()>& wanted) {
  QW_TRY(make_folders(folder));
  const std::string base = store::segment_folder(store.folder());
  QW_ASSIGN(const auto logs, rolled_logs(plan, store));
  ViewFiles files;
  for (const RolledLog& log : logs) {
    Seq from;
    for (bool more = true; more;) {
      if (!wanted())
        return Error{ErrorCode::kUnavailable, "the application is stopping", folder, ""};
      QW_ASSIGN(Piece piece, next_piece(log, store, from));
      more = piece.more;
      if (piece.rows.seqs.empty()) break;
      store::Segment segment;
      segment.log = log.log;
      segment.partition = log.partition;
      segment.from = piece.rows.seqs.front();
      segment.to = next(piece.rows.seqs.back());
      segment.schema_id = piece.rows.columns.schema().fingerprint();
      const std::string path = folder + "/" + segment.file();
      QW_TRY(store::write_rows(segment, piece.rows, path));
      files[log.view].push_back(path.starts_with(base + "/") ? path.substr(base.size() + 1) : path);
      from = segment.to;
    }
  }
  return segment_views(plan, store, files);
}

void remember_app_file(const Plan& plan, store::Txn& txn) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(plan.file.path, failed);
  if (!failed && !plan.file.path.empty()) txn.put_meta(store::meta::kAppFile, absolute.string());
}

Result<std::string> remembered_app_file(const store::Store& store) {
  QW_ASSIGN(const auto path, store.get_meta(store::meta::kAppFile));
  if (path) return *path;
  return Error{ErrorCode::kNotFound, "the data folder does not name its application file",
               store.folder(), "start the application once"};
}

}  // namespace qw::app
