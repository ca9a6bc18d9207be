// GET /v1/models and POST /v1/models/{name}/retrain: the versions of every model, who serves, what
// each was made from, and the trainings.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/api/answer.h"
#include "app/api/board.h"
#include "app/api/series.h"
#include "app/api/story.h"
#include "app/runtime/runtime.h"
#include "models/registry.h"

namespace qw::app {

// Answers from the registry and the running versions. Opens the registry for itself. One thread.
class ModelAnswers {
 public:
  ModelAnswers(const Plan& plan, const Board& board, const Story& story, int64_t started_us)
      : plan_(plan), board_(board), story_(story), started_us_(started_us) {}

  // Once, before the first answer. Without a registry only what the file describes is answered.
  void open(Runtime& runtime);
  Json answer(Runtime& runtime) const;
  // Asks for a training. The run, or why there is none.
  Outcome retrain(Runtime& runtime, const net::HttpRequest& request) const;
  // Asks for the version before the one that serves. Which that is, or why there is none.
  Outcome roll_back(Runtime& runtime, const net::HttpRequest& request) const;
  // A journal record may have changed what is shown.
  void heed(const schema::JournalRecord& record);
  // The models that are others than at the call before: a version or a run changed, or moved on.
  std::vector<Json> changed(Runtime& runtime);

 private:
  Json one(Runtime& runtime, size_t model) const;
  Json training(Runtime& runtime, const std::string& model) const;
  Json versions(const PlanModel& model, int64_t champion, int64_t challenger) const;
  Json version(const models::VersionInfo& info) const;
  Json built_in(const PlanModel& model, int64_t champion) const;
  Json settings_of(const models::VersionInfo& info) const;
  void add_warmth(Json& version, size_t warm, size_t total) const;
  Json drift(Runtime& runtime, const std::string& model) const;
  Json labels(size_t model) const;

  const Plan& plan_;
  const Board& board_;
  const Story& story_;
  const int64_t started_us_;  // the file's own version is as old as this start
  std::unique_ptr<models::Registry> registry_;
  // By folder: what was published never changes, and each answer names every version.
  mutable std::map<std::string, Json> settings_;
  bool touched_ = false;           // by a journal record, since changed()
  std::vector<std::string> told_;  // by model: how far its newest run was at changed()
};

}  // namespace qw::app
