#include "app/api/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/log.h"
#include "schema/settings.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

constexpr int64_t kDefaultSpanUs = 900'000'000;
constexpr int64_t kFarPast = std::numeric_limits<int64_t>::min() / 4;
constexpr int64_t kFarFuture = std::numeric_limits<int64_t>::max() / 4;

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : lower(text)) {
    if (c == ' ')
      words.emplace_back();
    else
      words.back().push_back(c);
  }
  return words;
}

// Rows in the order of their time, each time once (the last word counts): what a chart can draw.
template <class Row>
void put_in_order(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.t_us < b.t_us; });
  size_t kept = 0;
  for (size_t at = 0; at < rows.size(); ++at)
    if (at + 1 == rows.size() || rows[at + 1].t_us != rows[at].t_us) rows[kept++] = rows[at];
  rows.resize(kept);
}

double heat_of(const BoardSeries& series) {
  if (series.points.empty()) return 0;
  const double heat = series.points.back().score / series.threshold;
  return std::isfinite(heat) ? heat : 0;
}

Json spark_of(std::vector<BoardPoint> points) {
  put_in_order(points);
  const int64_t t0_us = points.empty() ? 0 : points.front().t_us;
  Json dt = Json::array(), value = Json::array(), score = Json::array();
  for (const BoardPoint& point : points) {
    dt.push_back(static_cast<double>(point.t_us - t0_us) / 1000);
    value.push_back(rounded(point.value));
    score.push_back(rounded(point.score));
  }
  return {{"t0_us", t0_us}, {"dt_ms", dt}, {"value", value}, {"score", score}};
}

// The wanted features of the decisions on these rows, by seq; those that are not durable yet or no
// longer kept are left out.
std::map<uint64_t, std::vector<double>> features_of(const Names& names, const store::Store& store,
                                                    const BoardSeries& series,
                                                    const std::vector<BoardRow>& rows,
                                                    const std::vector<const FeatureName*>& wanted) {
  std::vector<Seq> seqs;
  for (const BoardRow& row : rows) seqs.emplace_back(row.seq);
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  std::map<uint64_t, std::vector<double>> found;
  StoredFeatures stored(names, store);
  const auto read = store::History(store).read(
      store::Log::kDecisions, series.stream, seqs, [&](Seq seq, std::string_view bytes) {
        const auto record = schema::decode_decision(bytes);
        if (record.ok()) found.emplace(seq.value(), stored.of(series.decision, *record, wanted));
        return true;
      });
  if (!read.ok()) log::warning("api", "features cannot be drawn: {}", read.error().to_string());
  return found;
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

int64_t reduce(std::vector<BoardRow>& rows, size_t most) {
  const bool in_blocks =
      std::any_of(rows.begin(), rows.end(), [](const BoardRow& row) { return row.rows > 1; });
  if (rows.empty() || (rows.size() <= most && !in_blocks)) return 0;
  const int64_t begin = rows.front().first_us;
  const int64_t length = rows.back().t_us - begin + 1;
  const auto buckets = static_cast<int64_t>(most);
  int64_t width = (length + buckets - 1) / buckets;
  for (const BoardRow& row : rows) width = std::max(width, row.t_us - row.first_us + 1);
  std::vector<BoardRow> reduced;
  int64_t last = -1;
  for (const BoardRow& row : rows) {
    const int64_t bucket = floor_div(row.t_us - begin, width);
    if (!reduced.empty() && bucket == last)
      reduced.back().add(row);
    else
      reduced.push_back(row);
    last = bucket;
  }
  rows = std::move(reduced);
  return width;
}

Json SeriesAnswers::one(const BoardSeries& series, size_t spark) const {
  const SeriesName name = names_.series(series.decision, series.key);
  const ShownDecision& shown = names_.decision(series.decision);
  const bool any = !series.points.empty();
  Json features = Json::array();
  for (const FeatureName& feature : shown.features) features.push_back(feature.name);
  return {{"id", series.id},
          {"metric", name.metric},
          {"title", text_or_null(name.title)},
          {"entity", name.entity},
          {"unit", name.unit},
          {"view", shown.view},
          {"key", series.key},
          {"t_us", any ? Json(series.points.back().t_us) : Json(nullptr)},
          {"value", any ? number(series.points.back().value) : Json(nullptr)},
          {"score", any ? number(series.points.back().score) : Json(nullptr)},
          {"threshold", number(series.threshold)},
          {"warm", series.warm},
          {"alerting", series.alerting},
          {"features", std::move(features)},
          {"spark", spark == 0 ? Json(nullptr) : spark_of(series.points)}};
}

Outcome SeriesAnswers::list(const net::HttpRequest& request) const {
  Query query(request);
  const auto limit = static_cast<size_t>(query.integer("limit", 500, 1, 2000));
  const auto spark = static_cast<size_t>(query.integer("spark", 60, 0, 240));
  if (query.fault()) return *query.fault();
  const auto words = words_of(query.text("filter").value_or(""));
  std::vector<BoardSeries> found = board_.all(std::max<size_t>(spark, 1));
  std::erase_if(found, [&](const BoardSeries& series) {
    const SeriesName name = names_.series(series.decision, series.key);
    const std::string text =
        lower(fmt::format("{} {} {} {}", series.id, name.title, name.metric, name.entity));
    return !std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return text.find(word) != std::string::npos;
    });
  });
  std::stable_sort(found.begin(), found.end(), [](const BoardSeries& a, const BoardSeries& b) {
    return a.alerting != b.alerting ? a.alerting : heat_of(a) > heat_of(b);
  });
  Json list = Json::array();
  for (size_t index = 0; index < std::min(limit, found.size()); ++index)
    list.push_back(one(found[index], spark));
  return Json{{"now_us", clock_.wall_us()}, {"total", found.size()}, {"series", std::move(list)}};
}

Refusal SeriesAnswers::unknown(const std::string& id) const {
  std::vector<std::string> known;
  for (const BoardSeries& series : board_.all(0)) known.push_back(series.id);
  const std::string near = schema::nearest(id, known);
  return {404, "unknown_series", fmt::format("there is no series '{}'", id),
          near.empty() ? "take an id from GET /v1/series"
                       : fmt::format("take an id from GET /v1/series; the nearest is '{}'", near)};
}

Outcome SeriesAnswers::history(const net::HttpRequest& request, const store::Store& store) const {
  Query query(request);
  const std::string& id = request.params.at("id");
  const auto most = static_cast<size_t>(query.integer("max_points", 1000, 10, 5000));
  const auto from = query.integer("from_us", kFarPast, kFarFuture);
  const auto to = query.integer("to_us", kFarPast, kFarFuture);
  if (query.fault()) return *query.fault();
  const auto known = board_.span(id, kFarFuture, kFarPast);
  if (!known) return unknown(id);
  const int64_t to_us = to.value_or(known->newest_us);
  const int64_t from_us = from.value_or(to_us - kDefaultSpanUs);
  if (from_us > to_us)
    return Refusal{400, "bad_parameter", "from_us is after to_us", "exchange the two"};
  if (to && to_us < known->kept_from_us)
    return Refusal{410, "history_gone", "that span is older than what is kept",
                   fmt::format("ask from {} on", known->kept_from_us)};
  std::vector<std::string> features = query.list("features");
  if (features == std::vector<std::string>{"all"}) {
    features.clear();
    for (const FeatureName& feature : names_.decision(known->series.decision).features)
      features.push_back(feature.name);
  }
  const auto span = board_.span(id, from_us, to_us);
  if (!span) return unknown(id);
  return draw(*span, from_us, to_us, most, features, store);
}

Outcome SeriesAnswers::draw(const Board::Span& span, int64_t from_us, int64_t to_us, size_t most,
                            const std::vector<std::string>& features,
                            const store::Store& store) const {
  const BoardSeries& series = span.series;
  const ShownDecision& shown = names_.decision(series.decision);
  std::vector<const FeatureName*> wanted;
  for (const std::string& name : features) {
    const auto found = std::find_if(shown.features.begin(), shown.features.end(),
                                    [&](const FeatureName& known) { return known.name == name; });
    if (found == shown.features.end())
      return Refusal{400, "bad_parameter", fmt::format("'{}' is no feature of this series", name),
                     "take the names from `features` of GET /v1/series, or `all`"};
    wanted.push_back(&*found);
  }
  std::vector<BoardRow> rows = span.rows;
  put_in_order(rows);
  const int64_t bucket_us = reduce(rows, most);
  std::map<uint64_t, std::vector<double>> decided;
  if (!wanted.empty()) decided = features_of(names_, store, series, rows, wanted);
  Json columns = Json::object();
  for (const FeatureName* feature : wanted) columns[feature->name] = Json::array();
  Json t = Json::array(), value = Json::array(), low = Json::array(), high = Json::array(),
       score = Json::array();
  for (const BoardRow& row : rows) {
    t.push_back(row.t_us);
    value.push_back(number(row.mean));
    low.push_back(number(row.min));
    high.push_back(number(row.max));
    score.push_back(number(row.score));
    if (wanted.empty()) continue;
    const auto made_from = decided.find(row.seq);
    for (size_t index = 0; index < wanted.size(); ++index)
      columns[wanted[index]->name].push_back(
          made_from != decided.end() ? number(made_from->second[index]) : Json(nullptr));
  }
  Json answer{{"id", series.id},
              {"from_us", from_us},
              {"to_us", to_us},
              {"kept_from_us", span.kept_from_us},
              {"bucket_us", bucket_us},
              {"t_us", std::move(t)},
              {"value", std::move(value)},
              {"value_min", std::move(low)},
              {"value_max", std::move(high)},
              {"score", std::move(score)},
              {"threshold", number(series.threshold)},
              {"features", std::move(columns)}};
  add_spans(answer, series.id, from_us, to_us);
  return answer;
}

void SeriesAnswers::add_spans(Json& answer, const std::string& id, int64_t from_us,
                              int64_t to_us) const {
  answer["alerts"] = Json::array();
  if (alerts_of)
    for (const AlertSpan& alert : alerts_of(id))
      if (alert.opened_us <= to_us && alert.resolved_us.value_or(kFarFuture) >= from_us)
        answer["alerts"].push_back(
            {{"id", alert.id},
             {"severity", alert.severity},
             {"opened_us", alert.opened_us},
             {"resolved_us", alert.resolved_us ? Json(*alert.resolved_us) : Json(nullptr)}});
  answer["labels"] = Json::array();
  if (labels_of)
    for (const LabelSpan& label : labels_of(id))
      if (label.from_us <= to_us && label.to_us >= from_us)
        answer["labels"].push_back({{"from_us", label.from_us},
                                    {"to_us", label.to_us},
                                    {"kind", label.kind},
                                    {"name", label.name}});
}

}  // namespace qw::app
