// GET /v1/features: what was known of a series at a moment, and why it was scored as it was.
#pragma once

#include "app/api/series.h"
#include "app/api/story.h"
#include "app/runtime/pipeline.h"

namespace qw::app {

// The members of a score as the API shows them.
Json members_json(const std::vector<std::string>& names, const std::vector<double>& contributions);
// A plain word for a member of the ensemble; empty for one that has none.
std::string member_title(std::string_view member);

// Answers from the views' states and the decision log. Used by one thread.
class MomentAnswers {
 public:
  MomentAnswers(const Names& names, const Board& board, const Story& story, const Clock& clock)
      : names_(names), board_(board), story_(story), clock_(clock) {}
  Outcome answer(const net::HttpRequest& request, const Pipeline& pipeline,
                 const store::Store& store) const;

 private:
  Json features(size_t decision, const std::optional<features::FeatureAnswer>& read,
                const std::optional<schema::DecisionRecord>& record,
                const store::Store& store) const;
  Json score(size_t decision, const BoardSeries& series,
             const std::optional<schema::DecisionRecord>& record, const store::Store& store) const;

  const Names& names_;
  const Board& board_;
  const Story& story_;
  const Clock& clock_;
};

}  // namespace qw::app
