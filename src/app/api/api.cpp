#include "app/api/api.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/api/page.h"
#include "app/api/usual.h"
#include "base/guard.h"
#include "base/log.h"
#include "store/segments/history.h"

namespace qw::app {
namespace {

using std::chrono::microseconds;

const char* const kMethods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

}  // namespace

Api::Api(std::shared_ptr<const Plan> plan, const Clock& clock, const MetricRegistry& metrics,
         ApiOptions options)
    : plan_(std::move(plan)),
      clock_(clock),
      options_(std::move(options)),
      names_(plan_),
      board_(plan_),
      ear_(*this),
      guard_(std::make_shared<const Guard>(options_.address, options_.port, options_.names,
                                           random_token())),
      series_(names_, board_, clock),
      moments_(names_, board_, story_, clock),
      status_(*plan_, board_, clock, metrics, options_.version),
      story_(names_),
      alerts_(story_),
      timeline_(story_),
      models_(*plan_, board_, story_, status_.started_us()),
      hub_(status_.started_us(), options_.streams),
      calls_(options_.waiting_calls) {
  series_.alerts_of = [this](const std::string& id) { return story_.alert_spans(id); };
  series_.labels_of = [this](const std::string& id) { return labels_of(id); };
  status_.alerts = [this] { return story_.counts(); };
  status_.demo = [this] { return demo_.status(); };
}

Api::~Api() { stop(); }

std::vector<LabelSpan> Api::labels_of(const std::string& series_id) const {
  std::vector<LabelSpan> spans = story_.label_spans(series_id);
  const auto found = options_.labels.find(series_id.substr(series_id.find('/') + 1));
  if (found != options_.labels.end())
    spans.insert(spans.end(), found->second.begin(), found->second.end());
  return spans;
}

void Api::Ear::on_journal(Seq seq, const schema::JournalRecord&) {
  api_.newest_journal_ = seq.value();
  // One call that waits is enough; a full queue means that the thread is awake.
  if (!api_.woken_.exchange(true)) (void)api_.calls_.try_push(Call{});
}

net::HttpHandler Api::at_once(Answering answering, int status) {
  return [answering = std::move(answering), status](const net::HttpRequest& request,
                                                    std::shared_ptr<net::HttpReply> reply) {
    const Outcome outcome = answering(request);
    if (const auto* refusal = std::get_if<Refusal>(&outcome))
      return reply->send(refusal_answer(*refusal, request));
    reply->send(json_answer(std::get<Json>(outcome), status));
  };
}

// Every method of the path is taken, so that one it does not have is refused in the API's own
// shape.
void Api::route(net::HttpServer& server, const std::string& path,
                std::vector<std::pair<std::string, net::HttpHandler>> methods) {
  std::vector<std::string> known;
  for (const auto& [method, handler] : methods) known.push_back(method);
  for (auto& [method, handler] : methods) {
    handlers_.push_back(std::make_unique<net::HttpHandler>(std::move(handler)));
    server.route(method, path,
                 [this, handler = handlers_.back().get()](const net::HttpRequest& request,
                                                          std::shared_ptr<net::HttpReply> reply) {
                   enqueue(request, std::move(reply), handler);
                 });
  }
  const std::string allowed = fmt::format("{}", fmt::join(known, ", "));
  for (const char* const method : kMethods) {
    if (std::find(known.begin(), known.end(), method) != known.end()) continue;
    server.route(
        method, path,
        [this, allowed](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
          auto refused = guard_->judge(request);
          if (refused && refused->code != "bad_token")
            return reply->send(refusal_answer(*refused, request));
          auto answer =
              refusal_answer({405, "method_not_allowed",
                              fmt::format("{} is not allowed on {}", request.method, request.path),
                              "use " + allowed},
                             request);
          answer.headers.emplace_back("Allow", allowed);
          reply->send(std::move(answer));
        });
  }
}

void Api::add_routes(net::HttpServer& server) {
  add_page_routes(server, guard_);
  route(server, "/v1/status", {{"GET", at_once([this](const net::HttpRequest&) -> Outcome {
                                  return status_.answer(*runtime_);
                                })}});
  route(server, "/v1/series", {{"GET", at_once([this](const net::HttpRequest& request) {
                                  return series_.list(request);
                                })}});
  route(server, "/v1/series/{id}/history",
        {{"GET", at_once([this](const net::HttpRequest& request) {
            return series_.history(request, runtime_->store());
          })}});
  route(server, "/v1/features", {{"GET", at_once([this](const net::HttpRequest& request) {
                                    return moments_.answer(request, runtime_->pipeline(),
                                                           runtime_->store());
                                  })}});
  route(server, "/v1/alerts", {{"GET", at_once([this](const net::HttpRequest& request) {
                                  return alerts_.list(request);
                                })}});
  route(
      server, "/v1/alerts/{id}",
      {{"GET", at_once([this](const net::HttpRequest& request) { return alerts_.one(request); })}});
  route(server, "/v1/alerts/{id}/verdict",
        {{"POST", [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
            judge(request, std::move(reply));
          }}});
  route(server, "/v1/timeline", {{"GET", at_once([this](const net::HttpRequest& request) {
                                    return timeline_.answer(request, runtime_->store());
                                  })}});
  route(server, "/v1/demo/incident",
        {{"POST", [this](const net::HttpRequest& request,
                         std::shared_ptr<net::HttpReply> reply) { demo_.start(request, reply); }},
         {"DELETE", [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
            demo_.stop(request, reply);
          }}});
  add_learning_routes(server);
  route(server, "/v1/stream",
        {{"GET", [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
            open_stream(request, std::move(reply));
          }}});
  for (const char* const method : kMethods)
    server.route(method, "/v1/*",
                 [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
                   auto refused = guard_->judge(request);
                   if (!refused || refused->code == "bad_token")
                     refused = Refusal{404, "unknown_path",
                                       fmt::format("there is nothing at {}", request.path),
                                       "see docs/reference/api.md for the paths"};
                   reply->send(refusal_answer(*refused, request));
                 });
}

// What learned, and what a person may ask of it.
void Api::add_learning_routes(net::HttpServer& server) {
  route(server, "/v1/models", {{"GET", at_once([this](const net::HttpRequest&) -> Outcome {
                                  return models_.answer(*runtime_);
                                })}});
  route(server, "/v1/models/{name}/retrain",
        {{"POST", at_once(
                      [this](const net::HttpRequest& request) {
                        return models_.retrain(*runtime_, request);
                      },
                      202)}});
  route(server, "/v1/heals/{name}/reset",
        {{"POST", at_once([this](const net::HttpRequest& request) -> Outcome {
            const std::string& name = request.params.at("name");
            if (const auto reset = runtime_->reset_heal(name); !reset.ok())
              return Refusal{404, "unknown_heal", reset.error().message, reset.error().how_to_mend};
            return Json{{"heal", name}};
          })}});
  route(server, "/v1/segments/roll",
        {{"POST", [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
            roll(request, std::move(reply));
          }}});
  route(server, "/v1/segments/tails",
        {{"POST", [this](const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
            write_tails(request, std::move(reply));
          }}});
  route(server, "/v1/models/{name}/rollback",
        {{"POST", at_once(
                      [this](const net::HttpRequest& request) {
                        return models_.roll_back(*runtime_, request);
                      },
                      202)}});
}

// Answered from the roller's thread: the API's own goes on.
void Api::roll(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
  runtime_->roller().roll_soon([request, reply = std::move(reply)](const Result<void>& rolled) {
    if (rolled.ok()) return reply->send(json_answer(Json::object()));
    const Error& error = rolled.error();
    reply->send(refusal_answer({503, "not_rolled", error.message, error.how_to_mend}, request));
  });
}

void Api::write_tails(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
  runtime_->roller().tails_soon([request,
                                 reply = std::move(reply)](const Result<Roller::Tails>& written) {
    if (written.ok())
      return reply->send(json_answer(Json{{"folder", written->folder}, {"views", written->views}}));
    const Error& error = written.error();
    reply->send(refusal_answer({503, "not_written", error.message, error.how_to_mend}, request));
  });
}

// On the server's thread: judges, and hands the call to the API's own.
void Api::enqueue(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply,
                  const net::HttpHandler* handler) {
  if (const auto refused = guard_->judge(request))
    return reply->send(refusal_answer(*refused, request));
  if (request.body.size() > options_.body_bytes)
    return reply->send(refusal_answer(
        {413, "body_too_large", fmt::format("the body has {} bytes", request.body.size()),
         fmt::format("send at most {} bytes", options_.body_bytes)},
        request));
  if (!running_)
    return reply->send(refusal_answer(
        {503, "not_ready", "the application is starting or stopping", "try again in a second"},
        request));
  Call call{request, reply, handler};
  if (!calls_.try_push(std::move(call)))
    reply->send(
        refusal_answer({503, "busy", fmt::format("{} calls wait already", options_.waiting_calls),
                        "try again in a second"},
                       request));
}

void Api::start(Runtime& runtime) {
  runtime_ = &runtime;
  running_ = true;
  thread_ = std::jthread([this] {
    while (running_) {
      // What a call throws is left out; the others are answered.
      const auto ran = guarded("the API", [this] { run(); });
      if (!ran.ok()) log::error("api", "{}", ran.error().to_string());
    }
  });
}

void Api::stop() {
  if (!running_.exchange(false)) return;
  calls_.close();
  thread_.join();
  hub_.close_all();
}

void Api::run() {
  if (!recalled_) {
    recalled_ = true;
    recall_journal();
    recall_decisions();
    models_.open(*runtime_);
    next_tick_ns_ = clock_.monotonic_ns();
  }
  while (running_) {
    const int64_t wait_us = std::max<int64_t>(0, (next_tick_ns_ - clock_.monotonic_ns()) / 1000);
    auto call = calls_.pop_within(microseconds(wait_us));
    woken_ = false;
    catch_up(Seq{newest_journal_}, true);
    if (call) take(*call);
    answer_changes();
    if (clock_.monotonic_ns() < next_tick_ns_) continue;
    next_tick_ns_ = std::max(next_tick_ns_ + options_.tick_us * 1000, clock_.monotonic_ns());
    tick();
  }
}

void Api::take(Call& call) {
  if (call.handler != nullptr) (*call.handler)(call.request, std::move(call.reply));
}

namespace {

double value_in(const serve::StoredInput& input, const schema::DecisionRecord& record) {
  const auto found = input.of(record);
  return found.ok() && *found ? (*found)->value : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

// What was decided before this start, so that the page does not begin empty.
void Api::recall_decisions() {
  size_t left = options_.recalled_decisions;
  for (size_t decision = 0; decision < plan_->decisions.size(); ++decision) {
    const auto streams = runtime_->between_events([&](Pipeline& pipeline, store::PendingCommit&) {
      return pipeline.slot(decision).streams();
    });
    const serve::StoredInput input(runtime_->store(),
                                   serve::input_definition(plan_->decisions[decision]));
    for (const auto& [stream, last] : streams) {
      const auto read = store::History(runtime_->store())
                            .scan_back(store::Log::kDecisions, stream, next(last), left,
                                       [&, stream = stream](Seq seq, std::string_view bytes) {
                                         const auto record = schema::decode_decision(bytes);
                                         if (record.ok())
                                           board_.recall(decision, stream, seq, *record,
                                                         value_in(input, *record));
                                         --left;
                                         return running_.load();
                                       });
      if (!read.ok())
        log::warning("api", "earlier decisions are not shown: {}", read.error().to_string());
    }
  }
}

void Api::recall_journal() {
  const auto last = runtime_->store().last_seq(store::Log::kJournal, store::kJournalPartition);
  if (!last.ok()) return;
  const uint64_t newest = last->value();
  journal_read_ = Seq{newest - std::min<uint64_t>(newest, options_.recalled_journal)};
  catch_up(*last, false);
}

void Api::catch_up(Seq to, bool tell) {
  if (to <= journal_read_) return;
  const auto read = store::History(runtime_->store())
                        .scan(store::Log::kJournal, store::kJournalPartition, next(journal_read_),
                              next(to), [&](Seq seq, std::string_view bytes) {
                                const auto record = schema::decode_journal(bytes);
                                if (!record.ok()) return true;
                                const Story::Change change = story_.take(seq, *record);
                                if (!tell) return true;
                                if (const auto entry = timeline_entry(seq, *record, story_))
                                  hub_.tell("timeline", *entry);
                                const ShownAlert* const alert = story_.find(change.alert_id);
                                if (alert != nullptr) hub_.tell("alert", alert->body);
                                if (change.incident) hub_.beat("status", status_.answer(*runtime_));
                                models_.heed(*record);
                                if (alert != nullptr && record->kind == store::AlertBody::kFired)
                                  tell_usual(*alert);
                                return true;
                              });
  if (!read.ok()) log::warning("api", "the journal cannot be read: {}", read.error().to_string());
  journal_read_ = to;
}

// What was usual before an alert, kept in the journal, so that it is the same after a restart.
void Api::tell_usual(const ShownAlert& alert) {
  const UsualSpans usual =
      usual_of(board_, names_, runtime_->store(), alert.series_id,
               integer_in(alert.body, "began_us"), story_.alert_times(alert.series_id));
  if (usual.empty()) return;
  runtime_->note(store::UsualBody{alert.id, usual});
}

// The greatest score of an open alert moves without a word in the journal.
void Api::tell_risen_scores() {
  for (const ShownAlert* alert : story_.open_alerts()) {
    const auto series = board_.find(alert->series_id, 0);
    if (series && story_.raise(alert->id, series->score_max)) hub_.tell("alert", alert->body);
  }
}

void Api::change(const store::VerdictBody& body, const net::HttpRequest& request,
                 std::shared_ptr<net::HttpReply> reply, std::function<Outcome()> then) {
  if (changes_.size() >= options_.waiting_changes)
    return reply->send(refusal_answer({503, "busy", "earlier changes are not durable yet",
                                       "look at GET /v1/status: the disk may be full"},
                                      request));
  const auto seq = std::make_shared<std::atomic<uint64_t>>(0);
  runtime_->note(body, [seq](Seq given) { *seq = given.value(); });
  runtime_->committer().hurry();
  changes_.push_back({seq, request, std::move(reply), std::move(then),
                      clock_.monotonic_ns() + options_.change_limit_ms * 1'000'000});
}

void Api::answer_changes() {
  const int64_t now_ns = clock_.monotonic_ns();
  std::erase_if(changes_, [&](Change& change) {
    const Seq seq{*change.seq};
    const bool durable = seq > Seq{} && seq <= journal_read_;
    if (!durable && now_ns < change.give_up_ns) return false;
    Outcome outcome = Refusal{503, "busy", "it was taken, but is not durable yet",
                              "look at GET /v1/status: the disk may be full"};
    if (durable) outcome = change.then();
    if (const auto* refusal = std::get_if<Refusal>(&outcome))
      change.reply->send(refusal_answer(*refusal, change.request));
    else
      change.reply->send(json_answer(std::get<Json>(outcome)));
    return true;
  });
}

void Api::judge(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
  const std::string id = request.params.at("id");
  Body body = Body::parse(request);
  const std::string note = body.text("note", 500).value_or("");
  const auto verdict = body.text("verdict", 20);
  std::optional<Refusal> refused = body.fault;
  if (!refused && story_.find(id) == nullptr) refused = alerts_.unknown(id);
  if (!refused && !verdict)
    refused = Refusal{400, "missing_field", "'verdict' is missing", "send real or false_alarm"};
  if (!refused && *verdict != "real" && *verdict != "false_alarm")
    refused = Refusal{400, "bad_parameter", fmt::format("verdict is '{}'", *verdict),
                      "send real or false_alarm"};
  if (refused) return reply->send(refusal_answer(*refused, request));
  change(store::VerdictBody{id, *verdict == "real", note}, request, std::move(reply),
         [this, id]() -> Outcome {
           const ShownAlert* const alert = story_.find(id);
           if (alert == nullptr) return alerts_.unknown(id);
           return alert->body;
         });
}

Json Api::tick_json() {
  Json id = Json::array(), t = Json::array(), value = Json::array(), score = Json::array(),
       warm = Json::array(), points = Json::array(), alerting = Json::array();
  for (const BoardSeries& series : board_.take_changed()) {
    const BoardPoint& newest = series.points.back();
    id.push_back(series.id);
    t.push_back(newest.t_us);
    value.push_back(number(newest.value));
    score.push_back(number(newest.score));
    warm.push_back(series.warm);
    points.push_back(series.fresh);
  }
  for (const BoardSeries& series : board_.all(0))
    if (series.alerting) alerting.push_back(series.id);
  return {{"now_us", clock_.wall_us()},  {"id", std::move(id)},
          {"t_us", std::move(t)},        {"value", std::move(value)},
          {"score", std::move(score)},   {"warm", std::move(warm)},
          {"points", std::move(points)}, {"alerting", std::move(alerting)}};
}

void Api::tick() {
  status_.sample(*runtime_);
  const Json tick = tick_json();  // also when nobody listens: the next one counts from here
  hub_.beat("tick", tick);
  tell_risen_scores();
  for (const Json& model : models_.changed(*runtime_)) hub_.tell("model", model);
  if (++ticks_ % 2 == 0 && hub_.streams() > 0) hub_.beat("status", status_.answer(*runtime_));
}

void Api::open_stream(const net::HttpRequest& request, std::shared_ptr<net::HttpReply> reply) {
  auto last_id = Query(request).text("last_event_id");
  if (!last_id && !request.header("last-event-id").empty())
    last_id = std::string(request.header("last-event-id"));
  const Json hello = {{"started_us", status_.started_us()},
                      {"now_us", clock_.wall_us()},
                      {"interval_ms", options_.tick_us / 1000}};
  if (!hub_.open(*reply, last_id, hello))
    reply->send(refusal_answer(
        {503, "too_many_streams", fmt::format("{} streams are open", options_.streams.streams),
         "close a page that is not needed"},
        request));
}

}  // namespace qw::app
