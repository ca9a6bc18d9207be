// The control API and the page of one running application (docs/reference/api.md).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "app/api/alerts.h"
#include "app/api/board.h"
#include "app/api/dataset_labels.h"
#include "app/api/demo_answers.h"
#include "app/api/guard.h"
#include "app/api/models.h"
#include "app/api/moment.h"
#include "app/api/names.h"
#include "app/api/series.h"
#include "app/api/status.h"
#include "app/api/story.h"
#include "app/api/stream.h"
#include "app/api/timeline.h"
#include "app/runtime/runtime.h"
#include "base/bounded_queue.h"
#include "base/net/http.h"

namespace qw::app {

// What the API is told at its making. A value.
struct ApiOptions {
  std::string version;  // of the program
  std::string address;  // where the server listens
  uint16_t port = 0;
  std::vector<std::string> names;  // further Host names it answers to
  DatasetLabels labels;            // drawn behind the series of these names
  StreamLimits streams;
  size_t waiting_calls = 64;  // more are refused as busy
  size_t body_bytes = 16u << 10;
  int64_t tick_us = 1'000'000;
  size_t recalled_decisions = 300'000;  // read from the log at the start, at most
  size_t recalled_journal = 50'000;     // likewise
  size_t waiting_changes = 64;          // not durable yet; more are refused as busy
  int64_t change_limit_ms = 10'000;     // for a change to become durable
};

// Answers every call on one thread of its own, from what it heard as an observer and from the
// runtime. Order: make it; give observer() to the runtime; start(runtime) once that runs;
// add_routes() after the runtime's own routes and before the server starts. End: the server stops,
// then stop(), then the runtime may go. Calls before start() are refused as not ready.
class Api {
 public:
  Api(std::shared_ptr<const Plan> plan, const Clock& clock, const MetricRegistry& metrics,
      ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  std::vector<Observer*> observers() { return {&board_, &ear_}; }
  void add_routes(net::HttpServer& server);
  // The incidents of the demo; null: there are none. Before start().
  void use(std::shared_ptr<DemoIncidents> incidents) { demo_.use(std::move(incidents)); }
  void start(Runtime& runtime);
  void stop();

 private:
  // Hears of journal records; the thread reads them from the log, so that a start and what comes
  // later take the same way.
  class Ear final : public Observer {
   public:
    explicit Ear(Api& api) : api_(api) {}
    void on_decision(const DecisionSeen&) override {}
    void on_journal(Seq seq, const schema::JournalRecord& record) override;

   private:
    Api& api_;
  };
  struct Call {
    net::HttpRequest request;
    std::shared_ptr<net::HttpReply> reply;
    const net::HttpHandler* handler = nullptr;  // null: only wakes the thread
  };
  using Answering = std::function<Outcome(const net::HttpRequest&)>;

  void route(net::HttpServer& server, const std::string& path,
             std::vector<std::pair<std::string, net::HttpHandler>> methods);
  void add_learning_routes(net::HttpServer& server);
  // A handler that answers at once.
  static net::HttpHandler at_once(Answering answering, int status = 200);
  void enqueue(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply,
               const net::HttpHandler* handler);
  void run();
  void take(Call& call);
  void tick();
  void recall_decisions();
  void recall_journal();
  // Reads what the journal says that was not read yet. `tell`: listeners hear of it.
  void catch_up(Seq to, bool tell);
  void tell_usual(const ShownAlert& alert);
  void tell_risen_scores();
  // Writes it to the journal; `then` runs on the API's thread once it is durable.
  void change(const store::VerdictBody& body, const net::HttpRequest& request,
              std::shared_ptr<net::HttpReply> reply, std::function<Outcome()> then);
  void answer_changes();
  void judge(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);
  void roll(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);
  void write_tails(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);
  std::vector<LabelSpan> labels_of(const std::string& series_id) const;
  Json tick_json();
  void open_stream(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply);

  const std::shared_ptr<const Plan> plan_;
  const Clock& clock_;
  const ApiOptions options_;
  const Names names_;
  Board board_;
  Ear ear_;
  const std::shared_ptr<const Guard> guard_;
  SeriesAnswers series_;
  MomentAnswers moments_;
  StatusAnswers status_;
  Story story_;
  AlertAnswers alerts_;
  TimelineAnswers timeline_;
  DemoAnswers demo_;
  ModelAnswers models_;
  StreamHub hub_;
  std::vector<std::unique_ptr<net::HttpHandler>> handlers_;  // the routes point into it
  BoundedQueue<Call> calls_;
  Runtime* runtime_ = nullptr;  // set before the thread starts
  std::atomic<uint64_t> newest_journal_{0};
  Seq journal_read_;
  struct Change {
    std::shared_ptr<std::atomic<uint64_t>> seq;  // in the journal; 0: not durable yet
    net::HttpRequest request;
    std::shared_ptr<net::HttpReply> reply;
    std::function<Outcome()> then;
    int64_t give_up_ns = 0;
  };
  std::vector<Change> changes_;  // written, and not durable yet
  std::atomic<bool> woken_{false};
  std::atomic<bool> running_{false};
  uint64_t ticks_ = 0;
  int64_t next_tick_ns_ = 0;
  bool recalled_ = false;  // the thread's own
  std::jthread thread_;
};

}  // namespace qw::app
