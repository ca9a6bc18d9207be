#include "train/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"

namespace qw::train {
namespace {

Error too_few(std::string message) {
  return {ErrorCode::kBadInput, std::move(message), "labels",
          "judge more alerts, start incidents, or name a labelled folder"};
}

// Windows of a side, and the series' numbers by hash of their names: an order that has nothing to
// do with what they hold.
std::vector<size_t> shuffled_by_name(const nab::Corpus& corpus) {
  std::vector<size_t> order(corpus.series.size());
  for (size_t at = 0; at < order.size(); ++at) order[at] = at;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto key = [&](size_t at) {
      return std::pair(checksum64(corpus.series[at].name), corpus.series[at].name);
    };
    return key(a) < key(b);
  });
  return order;
}

void split_nab(nab::Corpus&& corpus, double share, Split& split) {
  split.search.nab.profiles = split.held_out.nab.profiles = corpus.profiles;
  size_t windows = 0;
  for (const nab::Series& series : corpus.series) windows += series.windows.size();
  const double wanted = share * static_cast<double>(windows);
  double held = 0;
  std::vector<bool> out(corpus.series.size(), false);
  for (const size_t at : shuffled_by_name(corpus)) {
    if (held >= wanted) break;
    out[at] = true;
    held += static_cast<double>(corpus.series[at].windows.size());
  }
  for (size_t at = 0; at < out.size(); ++at)
    (out[at] ? split.held_out : split.search).nab.series.push_back(std::move(corpus.series[at]));
}

// The moment from which the newest labels are held out: `share` of them, with a real one among
// them, and no label on both sides.
int64_t cut_of(std::vector<Label> labels, double share) {
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) {
    return std::tie(a.first_us, a.last_us) < std::tie(b.first_us, b.last_us);
  });
  const double wanted = std::round(share * static_cast<double>(labels.size()));
  const size_t count =
      std::clamp<size_t>(static_cast<size_t>(wanted), 1, std::max<size_t>(1, labels.size() - 1));
  size_t first = labels.size() - count;
  while (first > 0 && std::none_of(labels.begin() + static_cast<ptrdiff_t>(first), labels.end(),
                                   [](const Label& label) { return label.real; }))
    --first;
  int64_t cut = labels[first].first_us;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Label& label : labels)
      if (label.first_us < cut && label.last_us >= cut) {
        cut = label.first_us;
        moved = true;
      }
  }
  return cut;
}

void split_own(History&& own, double share, Split& split) {
  split.cut_us = cut_of(own.labels, share);
  split.held_out.from_us = split.cut_us;
  for (const Series& series : own.series) {
    Series& before = split.search.own.series.emplace_back();
    before.name = series.name;
    std::copy_if(series.rows.begin(), series.rows.end(), std::back_inserter(before.rows),
                 [&](const models::Observation& row) { return row.event_time_us < split.cut_us; });
  }
  for (const Label& label : own.labels)
    (label.first_us < split.cut_us ? split.search : split.held_out).own.labels.push_back(label);
  split.held_out.own.series = std::move(own.series);
}

size_t real_labels(const Part& part) {
  size_t real = 0;
  for (const nab::Series& series : part.nab.series) real += series.windows.size();
  for (const Label& label : part.own.labels) real += label.real;
  return real;
}

}  // namespace

LabelCounts count_labels(const TrainingData& data) {
  LabelCounts counts;
  for (const nab::Series& series : data.nab.series) counts.nab += series.windows.size();
  counts.real = counts.nab;
  for (const Label& label : data.own.labels) ++(label.real ? counts.real : counts.false_alarms);
  counts.total = counts.real + counts.false_alarms;
  return counts;
}

Result<void> check_enough(const LabelCounts& counts, size_t at_least) {
  if (counts.total < at_least)
    return too_few(fmt::format("there are {} labels; {} are needed", counts.total, at_least));
  if (counts.real < 2)
    return too_few(
        fmt::format("there are {} labels of something real; 2 are needed, one to search with and "
                    "one to decide by",
                    counts.real));
  return {};
}

Result<Split> split_data(TrainingData data, double share, size_t at_least) {
  QW_TRY(check_enough(count_labels(data), at_least));
  Split split;
  if (!data.nab.series.empty()) split_nab(std::move(data.nab), share, split);
  if (!data.own.labels.empty()) split_own(std::move(data.own), share, split);
  const size_t search = real_labels(split.search);
  const size_t held_out = real_labels(split.held_out);
  if (search == 0 || held_out == 0)
    return too_few(
        fmt::format("of the real labels {} are to search with and {} to decide by; each "
                    "side needs one, apart in time",
                    search, held_out));
  return split;
}

}  // namespace qw::train
