#include "app/api/usual.h"

#include <algorithm>
#include <limits>

namespace qw::app {
namespace {

constexpr const char* kValue = "value";

// The decisions to look at, rising: every so many rows one, so that old and new count alike.
std::vector<Seq> chosen(const std::vector<BoardRow>& rows, int64_t before_us,
                        const std::vector<std::pair<int64_t, int64_t>>& alerts) {
  std::vector<BoardRow> calm;
  uint64_t count = 0;
  for (const BoardRow& row : rows) {
    const bool alerting = std::any_of(alerts.begin(), alerts.end(), [&](const auto& alert) {
      return row.t_us >= alert.first && row.first_us <= alert.second;
    });
    if (alerting || row.t_us >= before_us) continue;
    calm.push_back(row);
    count += row.rows;
  }
  std::vector<Seq> seqs;
  uint64_t passed = 0;
  for (const BoardRow& row : calm) {
    passed += row.rows;
    if (passed * kUsualRows < count * (seqs.size() + 1) && calm.size() > kUsualRows) continue;
    seqs.push_back(Seq{row.seq});
    if (seqs.size() == kUsualRows) break;
  }
  std::sort(seqs.begin(), seqs.end());
  return seqs;
}

UsualSpan span_of(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.05), at(0.5), at(0.95)};
}

}  // namespace

UsualSpans usual_of(const Board& board, const Names& names, const store::Store& store,
                    const std::string& series_id, int64_t before_us,
                    const std::vector<std::pair<int64_t, int64_t>>& alerts) {
  const auto kept = board.span(series_id, std::numeric_limits<int64_t>::min(), before_us);
  if (!kept) return {};
  const size_t decision = kept->series.decision;
  StoredFeatures stored(names, store);
  std::vector<const FeatureName*> wanted;
  for (const FeatureName& feature : names.decision(decision).features) wanted.push_back(&feature);
  std::map<std::string, std::vector<double>> values;
  const auto take = [&](const std::string& name, double value) {
    if (std::isfinite(value)) values[name].push_back(value);
  };
  for (const Seq seq : chosen(kept->rows, before_us, alerts)) {
    const auto visit = [&](Seq, std::string_view bytes) {
      const auto record = schema::decode_decision(bytes);
      if (!record.ok()) return true;
      take(kValue, stored.input(decision, *record));
      const auto numbers = stored.of(decision, *record, wanted);
      for (size_t index = 0; index < wanted.size(); ++index)
        take(wanted[index]->name, numbers[index]);
      return true;
    };
    // One that is gone is not an error: what is kept there is another's to decide.
    (void)store.read(store::Log::kDecisions, kept->series.stream, {seq}, visit);
  }
  UsualSpans usual;
  for (auto& [name, of_name] : values)
    if (of_name.size() >= kUsualRowsMin) usual[name] = span_of(of_name);
  return usual;
}

void add_usual(Json& body, const UsualSpans& usual, const std::string& name) {
  const auto found = usual.find(name);
  const bool known = found != usual.end();
  body["usual_low"] = known ? number(found->second.low) : Json(nullptr);
  body["usual_mid"] = known ? number(found->second.mid) : Json(nullptr);
  body["usual_high"] = known ? number(found->second.high) : Json(nullptr);
}

}  // namespace qw::app
