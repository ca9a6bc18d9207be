#include "store/commit/journal_kinds.h"

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace qw::store {
namespace {

using Json = nlohmann::ordered_json;

template <class Given, class Body>
concept Is = std::same_as<std::remove_const_t<Given>, Body>;

// ---- the fields of each kind, in the order in which they are written
//
// must     always written; a record without it is damaged
// may      always written; a record of before there was such a field keeps the default
// opt      left out when there is none: no value, or an empty text
// or_null  null when there is none

void fields(Is<SystemBody> auto& body, auto& visit) {
  visit.may("detail", body.detail);
  visit.must("phase", body.phase);
  visit.may("title", body.title);
}

void fields(Is<ViewIncompleteBody> auto& body, auto& visit) {
  visit.must("complete_from_us", body.complete_from_us);
  visit.must("lost_until_us", body.lost_until_us);
  visit.must("partition", body.partition);
  visit.must("source", body.source);
  visit.must("view", body.view);
}

void fields(Is<RecordQuarantinedBody> auto& body, auto& visit) {
  visit.must("position", body.position);
  visit.must("reason", body.reason);
  visit.must("source", body.source);
}

void fields(Is<DeliveryBody> auto& body, auto& visit) {
  visit.must("action_id", body.action_id);
  visit.may("created_at_us", body.created_at_us);
  visit.may("reason", body.reason);
  visit.may("sink", body.sink);
}

void fields(Is<ModelBody> auto& body, auto& visit) {
  visit.may("detail", body.detail);
  visit.must("model", body.model);
  visit.must("phase", body.phase);
  visit.opt("run_id", body.run_id);
  visit.may("title", body.title);
  visit.must("version", body.version);
}

void fields(Is<TrainingBody> auto& body, auto& visit) {
  visit.may("again", body.again);
  visit.opt("best", body.best);
  visit.may("detail", body.detail);
  visit.may("ended_us", body.ended_us);
  visit.may("message", body.message);
  visit.must("model", body.model);
  visit.may("phase", body.phase);
  visit.may("reason", body.reason);
  visit.must("run_id", body.run_id);
  visit.opt("started_us", body.started_us);
  visit.must("state", body.state);
  visit.may("title", body.title);
  visit.may("training", body.training);
  visit.may("trials_done", body.trials_done);
  visit.may("trials_total", body.trials_total);
  visit.may("trigger", body.trigger);
  visit.opt("version", body.version);
}

void fields(Is<DriftBody> auto& body, auto& visit) {
  visit.may("decision", body.decision);
  visit.may("event_us", body.event_us);
  visit.may("look", body.look);
  visit.may("message", body.message);
  visit.must("model", body.model);
  visit.may("p_value", body.p_value);
  visit.opt("retrain", body.retrain);
  visit.may("scores", body.scores);
  visit.may("served_by", body.served_by);
  visit.must("state", body.state);
  visit.may("test", body.test);
  visit.may("threshold", body.threshold);
  visit.may("value", body.value);
}

void fields(Is<VerdictBody> auto& body, auto& visit) {
  visit.must("alert_id", body.alert_id);
  visit.either("verdict", body.real, "real", "false_alarm");
  visit.may("note", body.note);
}

void fields(Is<IncidentBody> auto& body, auto& visit) {
  visit.must("id", body.id);
  visit.may("kind", body.load);
  visit.may("state", body.state);
  visit.must("started_us", body.started_us);
  visit.must("ends_us", body.ends_us);
  visit.opt("message", body.message);
}

void fields(Is<UsualBody> auto& body, auto& visit) {
  visit.must("alert_id", body.alert_id);
  visit.spans("usual", body.usual);
}

void fields(Is<AlertMemberBody> auto& body, auto& visit) {
  visit.must("name", body.name);
  visit.or_null("title", body.title);
  visit.may("contribution", body.contribution);
}

void fields(Is<AlertFeatureBody> auto& body, auto& visit) {
  visit.must("name", body.name);
  visit.may("value", body.value);
  visit.may("status", body.status);
  visit.or_null("aggregate", body.aggregate);
  visit.or_null("window_us", body.window_us);
  visit.may("usual_low", body.usual_low);
  visit.may("usual_mid", body.usual_mid);
  visit.may("usual_high", body.usual_high);
}

void fields(Is<AlertBody> auto& body, auto& visit) {
  visit.must("id", body.id);
  visit.must("decision", body.decision);
  visit.may("state", body.state);
  visit.may("severity", body.severity);
  visit.may("title", body.title);
  visit.may("series_id", body.series_id);
  visit.may("metric", body.metric);
  visit.may("entity", body.entity);
  visit.may("unit", body.unit);
  visit.must("began_us", body.began_us);
  visit.must("opened_us", body.opened_us);
  visit.or_null("resolved_us", body.resolved_us);
  visit.or_null("recovered_after_s", body.recovered_after_s);
  visit.may("value", body.value);
  visit.may("score", body.score);
  visit.may("score_max", body.score_max);
  visit.may("threshold", body.threshold);
  visit.may("usual_low", body.usual_low);
  visit.may("usual_mid", body.usual_mid);
  visit.may("usual_high", body.usual_high);
  visit.may("model", body.model);
  visit.may("version", body.version);
  visit.list("members", body.members);
  visit.list("features", body.features);
  visit.may("lead_id", body.lead_id);
  visit.may("flapping", body.flapping);
  visit.opt("reason", body.reason);
  visit.must("partition", body.partition);
  visit.must("key", body.key);
  visit.may("notified", body.notified);
}

void fields(Is<HealStepBody> auto& body, auto& visit) {
  visit.must("heal", body.heal);
  visit.must("action_id", body.action_id);
  visit.must("alert_id", body.alert_id);
  visit.may("attempt", body.attempt);
  visit.may("at_us", body.at_us);
  visit.opt("outcome", body.outcome);
  visit.opt("took_s", body.took_s);
  visit.opt("message", body.message);
}

void fields(Is<ActionFinishedBody> auto& body, auto& visit) {
  visit.must("action_id", body.action_id);
  if (visit.has("end", body.command)) {
    auto& command = *body.command;
    visit.must("end", command.end);
    visit.or_null("exit_code", command.exit_code);
    visit.opt("signal", command.signal);
    visit.may("took_s", command.took_s);
    visit.may("stdout", command.out);
    visit.may("stderr", command.err);
    visit.may("cut", command.cut);
    visit.opt("message", body.message);
  } else {
    visit.opt("attempts", body.attempts);
    visit.opt("http_status", body.http_status);
    visit.may("message", body.message);
    visit.must("state", body.state);
  }
}

// ---- writing

template <class Value>
Json written(const Value& value) {
  return value;
}
Json written(const double& value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

class Writer {
 public:
  void must(const char* name, const auto& value) { json_[name] = written(value); }
  void may(const char* name, const auto& value) { must(name, value); }
  template <class Value>
  void opt(const char* name, const std::optional<Value>& value) {
    if (value) must(name, *value);
  }
  void opt(const char* name, const std::string& text) {
    if (!text.empty()) must(name, text);
  }
  template <class Value>
  void or_null(const char* name, const std::optional<Value>& value) {
    json_[name] = value ? written(*value) : Json(nullptr);
  }
  void or_null(const char* name, const std::string& text) {
    json_[name] = text.empty() ? Json(nullptr) : Json(text);
  }
  void either(const char* name, bool value, const char* yes, const char* no) {
    json_[name] = value ? yes : no;
  }
  template <class Item>
  void list(const char* name, const std::vector<Item>& items) {
    Json& list = json_[name] = Json::array();
    for (const Item& item : items) {
      Writer writer;
      fields(item, writer);
      list.push_back(std::move(writer).json());
    }
  }
  void spans(const char* name, const UsualSpans& spans) {
    Json& all = json_[name] = Json::object();
    for (const auto& [of, span] : spans)
      all[of] = Json::array({written(span.low), written(span.mid), written(span.high)});
  }
  template <class Part>
  bool has(const char*, const std::optional<Part>& part) const {
    return part.has_value();
  }
  Json json() && { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

// ---- reading

bool read(const Json& json, std::string& to) {
  if (json.is_string()) to = json.get<std::string>();
  return json.is_string();
}
bool read(const Json& json, bool& to) {
  if (json.is_boolean()) to = json.get<bool>();
  return json.is_boolean();
}
bool read(const Json& json, double& to) {
  if (json.is_number()) to = json.get<double>();
  if (json.is_null()) to = std::numeric_limits<double>::quiet_NaN();
  return json.is_number() || json.is_null();
}
template <std::integral Number>
bool read(const Json& json, Number& to) {
  if (!json.is_number_integer()) return false;
  const auto keep = [&](auto number) {
    if (std::in_range<Number>(number)) to = static_cast<Number>(number);
    return std::in_range<Number>(number);
  };
  return json.is_number_unsigned() ? keep(json.get<uint64_t>()) : keep(json.get<int64_t>());
}

// Remembers the first field that is missing or of another type.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  void must(const char* name, auto& to) {
    if (const Json* const found = find(name))
      take(name, *found, to);
    else
      fail(name, "is missing");
  }
  template <class Value>
  void may(const char* name, Value& to) {
    if (const Json* const found = find(name)) return take(name, *found, to);
    if constexpr (std::same_as<Value, double>) to = std::numeric_limits<double>::quiet_NaN();
  }
  template <class Value>
  void opt(const char* name, std::optional<Value>& to) {
    const Json* const found = find(name);
    if (found != nullptr && !found->is_null()) take(name, *found, to.emplace());
  }
  void opt(const char* name, std::string& to) { may(name, to); }
  template <class Value>
  void or_null(const char* name, std::optional<Value>& to) {
    opt(name, to);
  }
  void or_null(const char* name, std::string& to) {
    const Json* const found = find(name);
    if (found != nullptr && !found->is_null()) take(name, *found, to);
  }
  void either(const char* name, bool& to, std::string_view yes, std::string_view no) {
    std::string text;
    must(name, text);
    if (text != yes && text != no) fail(name, "is of another type");
    to = text == yes;
  }
  template <class Item>
  void list(const char* name, std::vector<Item>& items) {
    const Json* const found = find(name);
    if (found == nullptr) return;
    if (!found->is_array()) return fail(name, "is of another type");
    for (const Json& one : *found) {
      Reader reader(one);
      if (one.is_object()) fields(items.emplace_back(), reader);
      if (!one.is_object() || !reader.trouble().empty()) fail(name, "is of another type");
    }
  }
  void spans(const char* name, UsualSpans& spans) {
    const Json* const found = find(name);
    if (found == nullptr || !found->is_object()) return fail(name, "is missing");
    for (const auto& [of, span] : found->items()) {
      UsualSpan& to = spans[of];
      if (!span.is_array() || span.size() != 3 || !read(span[0], to.low) ||
          !read(span[1], to.mid) || !read(span[2], to.high))
        fail(name, "is of another type");
    }
  }
  template <class Part>
  bool has(const char* name, std::optional<Part>& part) const {
    if (find(name) != nullptr) part.emplace();
    return part.has_value();
  }
  const std::string& trouble() const { return trouble_; }

 private:
  const Json* find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  void take(const char* name, const Json& json, auto& to) {
    if (!read(json, to)) fail(name, "is of another type");
  }
  void fail(const char* name, const char* why) {
    if (trouble_.empty()) trouble_ = fmt::format("'{}' {}", name, why);
  }

  const Json& json_;
  std::string trouble_;
};

Error damaged(const schema::JournalRecord& record, const std::string& why) {
  return {ErrorCode::kCorrupt,
          fmt::format("a journal record '{}' cannot be read: {}", record.kind, why), "journal", ""};
}

}  // namespace

template <class Body>
Json json_of(const Body& body) {
  Writer writer;
  fields(body, writer);
  return std::move(writer).json();
}

template <class Body>
schema::JournalRecord journal_record(const Body& body, int64_t at_us) {
  schema::JournalRecord record;
  if constexpr (std::size(Body::kKinds) > 1)
    record.kind = body.kind;
  else
    record.kind = Body::kKinds[0];
  record.at_us = at_us;
  record.json = json_of(body).dump(-1, ' ', false, Json::error_handler_t::replace);
  return record;
}

template <class Body>
Result<Body> body_of(const schema::JournalRecord& record) {
  QW_ASSERT(is_a<Body>(record));
  const Json json = Json::parse(record.json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return damaged(record, "it is no JSON object");
  Body body;
  if constexpr (std::size(Body::kKinds) > 1) body.kind = record.kind;
  Reader reader(json);
  fields(body, reader);
  if (!reader.trouble().empty()) return damaged(record, reader.trouble());
  return body;
}

#define QW_JOURNAL_KIND(Body)                                          \
  template Json json_of(const Body&);                                  \
  template schema::JournalRecord journal_record(const Body&, int64_t); \
  template Result<Body> body_of<Body>(const schema::JournalRecord&)

QW_JOURNAL_KIND(SystemBody);
QW_JOURNAL_KIND(ViewIncompleteBody);
QW_JOURNAL_KIND(RecordQuarantinedBody);
QW_JOURNAL_KIND(DeliveryBody);
QW_JOURNAL_KIND(ModelBody);
QW_JOURNAL_KIND(TrainingBody);
QW_JOURNAL_KIND(DriftBody);
QW_JOURNAL_KIND(VerdictBody);
QW_JOURNAL_KIND(IncidentBody);
QW_JOURNAL_KIND(UsualBody);
QW_JOURNAL_KIND(AlertBody);
QW_JOURNAL_KIND(HealStepBody);
QW_JOURNAL_KIND(ActionFinishedBody);
#undef QW_JOURNAL_KIND

}  // namespace qw::store
