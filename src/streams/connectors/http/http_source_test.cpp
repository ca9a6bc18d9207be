// Aim: a pushed request is answered with what became of each record, only once all are durable, and
// never with success otherwise; limits refuse with a wish to come back. Method: a server and
// replies that only write down what they are given, a clock that stands still, and the test as the
// pipeline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "streams/connectors/http/body.h"
#include "streams/connectors/http/source.h"

namespace qw::streams::http {
namespace {

using nlohmann::json;
using schema::Field;
using testing::ElementsAre;
using testing::HasSubstr;

DecodeOptions numbers(Format format = Format::kJson) {
  DecodeOptions options;
  options.format = format;
  options.schema =
      std::make_shared<const schema::Schema>(std::vector<Field>{Field{"v", schema::kInt64, false}});
  options.max_record_bytes = 1000;
  if (format == Format::kCsv) options.columns = {"v"};
  return options;
}

std::vector<std::string> texts_of(std::string body, const char* type, Format format) {
  auto records = split_body(body, type, numbers(format), 5);
  if (!records.ok()) return {"error: " + records.error().message};
  std::vector<std::string> texts;
  for (const BodyRecord& record : *records)
    texts.push_back(record.problem == Frame::Problem::kNone ? std::string(record.text)
                                                            : "too long");
  return texts;
}

TEST(SplitBody, TellsRecordsApart) {
  const auto split = [](std::string body, const char* type = "", Format format = Format::kJson) {
    return texts_of(std::move(body), type, format);
  };
  EXPECT_THAT(split("{\"v\":1}", "application/json"), ElementsAre("{\"v\":1}"));
  EXPECT_THAT(split("{\n\"v\":1}", "application/json; charset=utf-8"), ElementsAre("{\n\"v\":1}"));
  EXPECT_THAT(split("{\"v\":1}\r\n\n{\"v\":2}", "application/x-ndjson"),
              ElementsAre("{\"v\":1}", "{\"v\":2}"));
  EXPECT_THAT(split(" [ {\"v\":\"]}\"} , 3,\n[1,{}], \"x\", null ] ", "application/json"),
              ElementsAre("{\"v\":\"]}\"}", "3", "[1,{}]", "\"x\"", "null"));
  EXPECT_THAT(split("1\n2\n", "text/csv", Format::kCsv), ElementsAre("1", "2"));
  EXPECT_THAT(split("1\n" + std::string(2000, 'x') + "\n3\n"), ElementsAre("1", "too long", "3"));
}

TEST(SplitBody, RefusesWhatCannotBeToldApart) {
  const auto error = [](std::string body) { return texts_of(std::move(body), "", Format::kJson); };
  for (const char* body : {"", " \n ", "[]", "[ ]", "\n\n"})
    EXPECT_THAT(error(body), ElementsAre("error: the request holds no record")) << body;
  for (const char* body : {"[{\"v\":1}", "[{\"v\":1} {\"v\":2}]", "[\"\xff\"]", "[\"x]", "[1}"})
    EXPECT_THAT(error(body), ElementsAre(HasSubstr("error: the body is no JSON array"))) << body;
  EXPECT_THAT(error("[1] 2"), ElementsAre(HasSubstr("no JSON array")));
  EXPECT_THAT(error("[1,2,3,4,5,6]"), ElementsAre(HasSubstr("more than 5 records")));
  EXPECT_THAT(error("1\n2\n3\n4\n5\n6"), ElementsAre(HasSubstr("more than 5 records")));
}

class FakeServer final : public net::HttpServer {
 public:
  void route(std::string_view method, std::string_view path, net::HttpHandler handler) override {
    route_ = std::string(method) + " " + std::string(path);
    handler_ = std::move(handler);
  }
  void start() override {}
  void stop() override {}
  uint16_t port() const override { return 0; }
  std::string route_;
  net::HttpHandler handler_;
};

struct FakeReply final : net::HttpReply {
  void send(net::HttpResponse response) override {
    ASSERT_FALSE(answer.has_value()) << "answered twice";
    answer = std::move(response);
  }
  std::shared_ptr<net::HttpStream> start_stream(int, std::string, net::Headers) override {
    return nullptr;
  }
  json body() const { return json::parse(answer->body); }
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : answer->headers)
      if (key == name) return value;
    return "";
  }
  std::optional<net::HttpResponse> answer;
};
using ReplyPtr = std::shared_ptr<FakeReply>;

class NoHost final : public SourceHost {
 public:
  Result<void> flush(std::span<const uint32_t>, int64_t) override { return {}; }
  void lost(std::span<const uint32_t>) override {}
};

class HttpSourceTest : public testing::Test {
 protected:
  void open() {
    auto made = make_http_source(config_, "clicks", numbers(), clock_, metrics_, &server_);
    ASSERT_TRUE(made.ok()) << made.error().to_string();
    source_ = std::move(made).value();
    ASSERT_TRUE(source_->open({}, host_).ok());
  }
  ReplyPtr post(std::string body, net::Headers headers = {{"Content-Type", "application/json"}}) {
    net::HttpRequest request;
    request.method = "POST";
    request.body = std::move(body);
    request.headers = std::move(headers);
    auto reply = std::make_shared<FakeReply>();
    server_.handler_(request, reply);
    return reply;
  }
  SourceBatch poll() {
    auto batch = source_->poll(0);
    EXPECT_TRUE(batch.ok());
    return std::move(batch).value();
  }
  // As the gate and the commit do: even values count, odd ones were seen before.
  void make_durable(SourceBatch& batch) {
    for (size_t row = 0; row < batch.rows.rows(); ++row)
      batch.receipt->rows.push_back({batch.rows.column(0).int_at(row) % 2 == 0
                                         ? Receipt::Fate::kAccepted
                                         : Receipt::Fate::kDuplicate,
                                     ""});
    source_->committed(batch.partition, batch.resume);
  }

  Config config_;
  FakeServer server_;
  ManualClock clock_{1'700'000'000'000'000};
  MetricRegistry metrics_;
  NoHost host_;
  std::unique_ptr<Source> source_;
};

TEST_F(HttpSourceTest, AnswersOnceDurableWithWhatBecameOfEachRecord) {
  open();
  EXPECT_EQ(server_.route_, "POST /v1/events/clicks");
  const auto one = post("{\"v\":2}");
  const auto many = post("[{\"v\":4},{\"v\":\"x\"},{\"v\":5}]");
  auto batch = poll();
  EXPECT_EQ(batch.rows.rows(), 3u);
  EXPECT_FALSE(one->answer || many->answer) << "nothing is durable yet";
  make_durable(batch);
  ASSERT_TRUE(one->answer && many->answer);
  EXPECT_EQ(one->answer->status, 200);
  EXPECT_EQ(one->body(), json::parse(R"({"records":1,"accepted":1,"late":0,"duplicates":0,
      "dropped":0,"dead_letters":0,"results":[]})"));
  EXPECT_EQ(many->answer->status, 200);
  EXPECT_EQ(many->body()["accepted"], 1);
  EXPECT_EQ(many->body()["results"], json::parse(R"([{"record":1,"status":"dead_letter","reason":
      "column 'v': int64 expected, found a string \"x\""},{"record":2,"status":"duplicate"}])"));
  ASSERT_EQ(batch.rejected.size(), 1u);
  EXPECT_EQ(batch.rejected[0].position, "/v1/events/clicks request 2 record 1");
}

TEST_F(HttpSourceTest, ARequestOfDeadLettersAloneIsAnError) {
  open();
  const auto reply = post("not json");
  auto batch = poll();
  EXPECT_FALSE(reply->answer) << "the dead letter is not durable yet";
  make_durable(batch);
  EXPECT_EQ(reply->answer->status, 422);
  EXPECT_EQ(reply->body()["code"], "BAD_INPUT");
  EXPECT_THAT(reply->body()["message"], HasSubstr("not a JSON object"));
  EXPECT_EQ(reply->body()["dead_letters"], 1);
  const auto torn = post("[{\"v\":1}");
  EXPECT_TRUE(poll().empty());
  EXPECT_EQ(torn->answer->status, 400);
}

TEST_F(HttpSourceTest, OnlyTheBatchThatIsDurableIsAcknowledged) {
  open();
  const auto lost = post("{\"v\":2}");
  auto given_up = poll();
  const auto kept = post("{\"v\":4}");
  auto durable = poll();
  make_durable(durable);
  EXPECT_TRUE(kept->answer.has_value());
  EXPECT_FALSE(lost->answer.has_value());
  clock_.advance_us(config_.commit_timeout_ms * 1000);
  source_->serve();
  EXPECT_EQ(lost->answer->status, 503);
  EXPECT_EQ(lost->header("Retry-After"), "1");
}

TEST_F(HttpSourceTest, WhatIsNotDurableInTimeIsAnswered503AndNotTakenIn) {
  open();
  const auto handed_out = post("{\"v\":2}");
  auto batch = poll();
  const auto waiting = post("{\"v\":4}");
  clock_.advance_us(config_.commit_timeout_ms * 1000 - 1);
  source_->serve();
  EXPECT_FALSE(handed_out->answer || waiting->answer);
  clock_.advance_us(1);
  source_->serve();
  EXPECT_EQ(handed_out->answer->status, 503);
  EXPECT_EQ(waiting->answer->status, 503);
  EXPECT_TRUE(poll().empty());
  make_durable(batch);  // too late to answer, and harmless
}

TEST_F(HttpSourceTest, TooMuchAtOnceIsRefusedUntilThereIsRoom) {
  config_.max_pending_requests = 2;
  open();
  post("{\"v\":2}");
  auto batch = poll();
  const auto second = post("{\"v\":4}");
  const auto third = post("{\"v\":6}");
  EXPECT_EQ(third->answer->status, 429);
  EXPECT_EQ(third->header("Retry-After"), "1");
  EXPECT_EQ(metrics_.counter("quickwater_http_source_throttled_total", "", {{"source", "clicks"}})
                .value(),
            1u);
  make_durable(batch);
  EXPECT_FALSE(post("{\"v\":8}")->answer.has_value());
  EXPECT_THAT(source_->status().detail, HasSubstr("2 requests"));
}

TEST_F(HttpSourceTest, BytesWaitingAreBounded) {
  config_.max_pending_bytes = 100;
  open();
  EXPECT_FALSE(post(std::string(300, ' '))->answer.has_value()) << "one request always has room";
  EXPECT_EQ(post("{\"v\":2}")->answer->status, 429);
}

TEST_F(HttpSourceTest, ALargeRequestIsOneAnswerOverSeveralBatches) {
  config_.max_records = 10'000;
  open();
  std::string lines;
  for (int v = 0; v < 10'000; ++v) lines += "{\"v\":" + std::to_string(2 * v) + "}\n";
  const auto reply = post(lines, {{"Content-Type", "application/x-ndjson"}});
  size_t rows = 0;
  std::vector<SourceBatch> batches;
  for (auto batch = poll(); !batch.empty(); batch = poll()) {
    EXPECT_LE(batch.rows.rows(), kMaxBatchRows);
    rows += batch.rows.rows();
    batches.push_back(std::move(batch));
  }
  EXPECT_EQ(rows, 10'000u);
  ASSERT_EQ(batches.size(), 3u);
  for (auto& batch : batches) {
    EXPECT_FALSE(reply->answer.has_value());
    make_durable(batch);
  }
  EXPECT_EQ(reply->body()["accepted"], 10'000);
}

TEST_F(HttpSourceTest, StoppingRefusesWhatWaitsAndStillAnswersWhatBecomesDurable) {
  open();
  const auto handed_out = post("{\"v\":2}");
  auto batch = poll();
  const auto waiting = post("{\"v\":4}");
  source_->close();
  EXPECT_EQ(waiting->answer->status, 503);
  EXPECT_EQ(post("{\"v\":6}")->answer->status, 503);
  make_durable(batch);
  EXPECT_EQ(handed_out->answer->status, 200);
}

TEST_F(HttpSourceTest, WantsItsTokenOrNoWebPage) {
  open();
  EXPECT_EQ(post("{\"v\":2}", {{"Origin", "http://evil.example"}})->answer->status, 403);
  config_.token = "correct-horse";
  open();
  for (const char* wrong : {"", "Bearer ", "Bearer correct-hors", "Bearer correct-horsf",
                            "Bearer correct-horse1", "correct-horse"})
    EXPECT_EQ(post("{\"v\":2}", {{"Authorization", wrong}})->answer->status, 401) << wrong;
  EXPECT_FALSE(post("{\"v\":2}",
                    {{"authorization", "Bearer correct-horse"}, {"Origin", "http://shop.example"}})
                   ->answer.has_value());
}

TEST_F(HttpSourceTest, RefusesSettingsThatCannotWork) {
  config_.path = "events";
  EXPECT_FALSE(make_http_source(config_, "c", numbers(), clock_, metrics_, &server_).ok());
  config_.path = "/v1/{name}";
  EXPECT_FALSE(make_http_source(config_, "c", numbers(), clock_, metrics_, &server_).ok());
  config_.path = "";
  EXPECT_FALSE(make_http_source(config_, "c", numbers(), clock_, metrics_, nullptr).ok());
}

}  // namespace
}  // namespace qw::streams::http
