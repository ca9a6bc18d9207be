// GET /v1/series and GET /v1/series/{id}/history.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "app/api/answer.h"
#include "app/api/board.h"
#include "app/api/names.h"
#include "store/store.h"

namespace qw::app {

// What a call gives: an answer, or why not.
using Outcome = std::variant<Json, Refusal>;

// When an alert of a series was open, in event time. A value.
struct AlertSpan {
  std::string id, severity;
  int64_t opened_us = 0;
  std::optional<int64_t> resolved_us;
};
// A stretch of a series of which something is known, in event time. A value.
struct LabelSpan {
  int64_t from_us = 0, to_us = 0;
  std::string kind, name;  // kind: "dataset", "incident", "verdict"
};

// Rows next to each other become one until at most `most` are left, in buckets of equal length; no
// peak is lost. `rows` rise in time. Returns the length of a bucket, 0 when nothing was reduced.
int64_t reduce(std::vector<BoardRow>& rows, size_t most);

// Answers about series from what the board holds and, for features, from the decision log. Used by
// one thread.
class SeriesAnswers {
 public:
  SeriesAnswers(const Names& names, const Board& board, const Clock& clock)
      : names_(names), board_(board), clock_(clock) {}

  Outcome list(const net::HttpRequest& request) const;
  Outcome history(const net::HttpRequest& request, const store::Store& store) const;
  // Known alerts and labels that touch a span of a series.
  std::function<std::vector<AlertSpan>(const std::string& id)> alerts_of;
  std::function<std::vector<LabelSpan>(const std::string& id)> labels_of;

 private:
  Json one(const BoardSeries& series, size_t spark) const;
  Refusal unknown(const std::string& id) const;
  Outcome draw(const Board::Span& span, int64_t from_us, int64_t to_us, size_t most,
               const std::vector<std::string>& features, const store::Store& store) const;
  void add_spans(Json& answer, const std::string& id, int64_t from_us, int64_t to_us) const;

  const Names& names_;
  const Board& board_;
  const Clock& clock_;
};

}  // namespace qw::app
