// Aim: a record becomes exactly the row it says, or is refused with the column and what was found;
// a refused record leaves no trace. Method: tables of records, one expected outcome each.
#include "streams/decoders/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "streams/decoders/csv.h"
#include "streams/decoders/text.h"
#include "streams/expectation.h"

namespace qw::streams {
namespace {

using schema::Field;
using schema::Schema;
using testing::HasSubstr;

std::shared_ptr<const Schema> table() {
  return std::make_shared<Schema>(Schema({
      Field{"id", schema::kString, false},
      Field{"n", schema::kInt64, true},
      Field{"x", schema::kDouble, true},
      Field{"ok", schema::kBool, true},
      Field{"price", schema::Type{schema::Kind::kDecimal, 6, 2}, true},
      Field{"ts", schema::kTimestamp, true},
  }));
}

std::unique_ptr<RecordDecoder> decoder_of(Format format, void (*change)(DecodeOptions&) = nullptr) {
  DecodeOptions options;
  options.format = format;
  options.schema = table();
  if (change != nullptr) change(options);
  auto decoder = make_decoder(options);
  EXPECT_TRUE(decoder.ok()) << decoder.error().to_string();
  return std::move(decoder).value();
}

// The row as JSON, or the reason.
std::string decode(RecordDecoder& decoder, std::string_view record) {
  schema::Batch batch(table());
  auto done = decoder.decode(record, batch);
  if (!done.ok()) {
    EXPECT_EQ(batch.rows(), 0u);
    return done.error().message;
  }
  EXPECT_EQ(batch.rows(), 1u);
  return row_json(batch, 0);
}

TEST(JsonDecoder, ReadsTypedValues) {
  auto decoder = decoder_of(Format::kJson);
  EXPECT_EQ(decode(*decoder, R"({"id":"a\u00e9\n","n":-5,"x":2.5,"ok":true,"price":12.30,)"
                             R"("ts":"1970-01-01T00:00:01Z","other":{"deep":[1,{"k":null}]}})"),
            R"({"id":"aé\u000a","n":-5,"x":2.5,"ok":true,"price":12.30,)"
            R"("ts":"1970-01-01T00:00:01.000000Z"})");
  EXPECT_EQ(decode(*decoder, R"( {"x": 3 , "id":"b", "n":null,"price":"7"} )"),
            R"({"id":"b","n":null,"x":3,"ok":null,"price":7.00,"ts":null})");
  EXPECT_EQ(decode(*decoder, R"({"id":"c","big":123456789012345678901234567890})"),
            R"({"id":"c","n":null,"x":null,"ok":null,"price":null,"ts":null})");
}

TEST(JsonDecoder, RefusesWithTheReason) {
  auto decoder = decoder_of(Format::kJson);
  const std::pair<const char*, const char*> cases[] = {
      {R"({"id":"a","n":"5"})", "column 'n': int64 expected, found a string \"5\""},
      {R"({"id":"a","n":5.0})", "column 'n': int64 expected, found '5.0'"},
      {R"({"id":"a","n":9223372036854775808})", "out of the range of int64"},
      {R"({"id":"a","x":"nano"})", "column 'x': double expected, found a string"},
      {R"({"id":"a","x":"1.5"})", "column 'x': double expected, found a string"},
      {R"({"id":"a","x":Nan1})", ""},
      {R"({"id":"a","ok":NaN})", ""},
      {R"({"id":NaN})", ""},
      {R"({"id":"a","ts":NaN})", ""},
      {R"({"id":"a","x":NaN)", "not a JSON object"},
      {R"({"id":"a","x":NaN "n":1})", ""},
      {R"({"id":"a","x":NaN 1})", ""},
      {R"({"id":"a","x":[1]})", "found an array"},
      {R"({"id":"a","ok":1})", "column 'ok': bool expected, found a number 1"},
      {R"({"id":"a","price":1.005})", "more than 2 decimals"},
      {R"({"id":"a","price":12345.00})", "out of the range of decimal(6,2)"},
      {R"({"id":"a","ts":1700000000})", "column 'ts': timestamp as a string expected"},
      {R"({"id":"a","ts":"2020-01-01T00:00:00"})", "no offset"},
      {R"({"id":7})", "column 'id': string expected, found a number 7"},
      {R"({"id":null})", "column 'id': is missing or null"},
      {R"({"n":1})", "column 'id': is missing or null"},
      {R"({"id":"a","n":1,"n":2})", "column 'n': appears twice"},
      {R"({"id":"a"} {"id":"b"})", ""},
      {R"({"id":"a"}x)", ""},
      {R"({"id":"a","n":1)", "not a JSON object"},
      {R"({"id":"a","n":01})", "column 'n'"},
      {R"({"id":"a","other":tru})", ""},
      {R"({"id":"a" "n":1})", ""},
      {R"([1])", "not a JSON object"},
      {R"(null)", "not a JSON object"},
      {"", "not a JSON object"},
      {"{\"id\":\"\xff\"}", "UTF-8"},
  };
  for (const auto& [record, reason] : cases) {
    const std::string found = decode(*decoder, record);
    EXPECT_THAT(found, HasSubstr(reason)) << record;
    EXPECT_FALSE(found.starts_with('{')) << record << " was taken: " << found;
  }
}

TEST(JsonDecoder, GivesTheSameAnswersAfterTrouble) {
  auto decoder = decoder_of(Format::kJson);
  const std::string before = decode(*decoder, R"({"id":"a","n":1})");
  decode(*decoder, R"({"id":"b","n":)");
  EXPECT_EQ(decode(*decoder, R"({"id":"a","n":1})"), before);
}

TEST(JsonDecoder, ReadsEpochTimesAsNumbers) {
  auto decoder = decoder_of(Format::kJson, [](DecodeOptions& o) {
    o.time_form = TimeForm::kEpochMillis;
    o.rename = {{"@t", "ts"}};
  });
  EXPECT_THAT(decode(*decoder, R"({"id":"a","@t":1500})"),
              HasSubstr("1970-01-01T00:00:01.500000Z"));
  EXPECT_THAT(decode(*decoder, R"({"id":"a","@t":"1500"})"), HasSubstr("timestamp as a number"));
}

TEST(JsonDecoder, RefusesTooLongRecords) {
  auto decoder = decoder_of(Format::kJson, [](DecodeOptions& o) { o.max_record_bytes = 20; });
  EXPECT_THAT(decode(*decoder, R"({"id":"aaaaaaaaaaaaaaaaaaaaaaa"})"),
              HasSubstr("max_record_bytes (20)"));
}

TEST(CsvDecoder, ReadsByHeader) {
  auto decoder = decoder_of(Format::kCsv);
  ASSERT_TRUE(decoder->use_header("x,id,extra,\"n\"").ok());
  EXPECT_EQ(decode(*decoder, R"(1e3,"a ""quoted"", b",zz,)"),
            R"({"id":"a \"quoted\", b","n":null,"x":1000,"ok":null,"price":null,"ts":null})");
  EXPECT_EQ(decode(*decoder, R"(,"",zz,12)"),
            R"({"id":"","n":12,"x":null,"ok":null,"price":null,"ts":null})");
  const std::pair<const char*, const char*> cases[] = {
      {"1,a,b", "3 cells where 4 columns are named"},
      {"1,a,b,1.5", "column 'n': int64 expected, found '1.5'"},
      {"1,a,b, 1", "column 'n': int64 expected"},
      {"1,,b,1", "column 'id': is missing or null"},
      {"1,\"a,b,1", "never closed"},
      {"1,\"a\"x,b,1", "text follows the closing quote of cell 2"},
      {"1,\xff,b,1", "UTF-8"},
  };
  for (const auto& [record, reason] : cases)
    EXPECT_THAT(decode(*decoder, record), HasSubstr(reason)) << record;
}

TEST(CsvDecoder, RefusesHeadersThatCannotWork) {
  auto decoder = decoder_of(Format::kCsv);
  EXPECT_THAT(decoder->use_header("x,n").error().message,
              HasSubstr("'id' is not in the header (x, n)"));
  EXPECT_THAT(decoder->use_header("id,n,n").error().message, HasSubstr("twice"));
}

TEST(CsvDecoder, FillsConstants) {
  auto decoder = decoder_of(Format::kCsv);
  decoder->set_constant(0, std::string("series-1"));
  ASSERT_TRUE(decoder->use_header("id,n").ok());
  EXPECT_THAT(decode(*decoder, "ignored,3"), HasSubstr(R"("id":"series-1","n":3)"));
}

// What a writer of numbers may write where there is none: null and counted, in every format and
// every kind of number, and the record's other columns are read.
TEST(Decoders, WhatIsNoNumberIsNullAndCounted) {
  const std::shared_ptr<const Schema> columns = std::make_shared<Schema>(Schema({
      Field{"id", schema::kString, false},
      Field{"n", schema::kInt64, true},
      Field{"x", schema::kDouble, true},
      Field{"price", schema::Type{schema::Kind::kDecimal, 6, 2}, true},
      Field{"must", schema::kDouble, false},
  }));
  Counter counter;
  DecodeOptions options;
  options.schema = columns;
  options.no_numbers = &counter;
  options.columns = {"id", "n", "x", "price", "must"};
  options.pattern = "{id} {n:int} {x:number} {price:number} {must:number}";
  uint64_t counted = 0;
  for (const std::string word : {"nan", "NaN", "-nan", "inf", "-inf", "Infinity", "-Infinity",
                                 "INF", "+inf", "1e999", "-1e999", "1e400"}) {
    for (const auto& [format, record] : std::initializer_list<std::pair<Format, std::string>>{
             {Format::kCsv, "a,@,@,@,1.5"},
             {Format::kText, "a @ @ @ 1.5"},
             {Format::kJson,
              R"({"id":"a","n":@,"x": @ ,"other":[@,{"k":@}],"price":@,"must":1.5})"},
             {Format::kJson, R"({"n":"@","must":1.5,"x":"@","price":"@","id":"a"})"}}) {
      std::string text = record;
      for (size_t at = 0; (at = text.find('@')) != std::string::npos;) text.replace(at, 1, word);
      options.format = format;
      auto decoder = make_decoder(options).value();
      schema::Batch batch(columns);
      const auto done = decoder->decode(text, batch);
      ASSERT_TRUE(done.ok()) << text << ": " << done.error().message;
      EXPECT_EQ(row_json(batch, 0), R"({"id":"a","n":null,"x":null,"price":null,"must":1.5})");
      EXPECT_EQ(counter.value(), counted += 3) << text;
      // Where null may not be, the record is refused with the column, and counts nothing.
      text.replace(text.rfind("1.5"), 3, word);
      const auto refused = decoder->decode(text, batch);
      ASSERT_FALSE(refused.ok()) << text;
      EXPECT_THAT(refused.error().message, HasSubstr("column 'must': '" + word + "' is no number"));
      EXPECT_EQ(counter.value(), counted);
    }
  }
  options.format = Format::kCsv;
  schema::Batch batch(columns);
  ASSERT_TRUE(make_decoder(options).value()->decode("a,1,1e-999,1,-1e-400", batch).ok());
  EXPECT_EQ(row_json(batch, 0), R"({"id":"a","n":1,"x":0,"price":1.00,"must":0})");
  EXPECT_EQ(counter.value(), counted) << "what is too small is 0";
}

TEST(SplitCsv, FollowsRfc4180) {
  std::vector<CsvCell> cells;
  EXPECT_EQ(*split_csv("", ',', cells), 1u);
  EXPECT_EQ(*split_csv("a,", ',', cells), 2u);
  EXPECT_EQ(*split_csv("\"a;b\";c", ';', cells), 2u);
  EXPECT_EQ(cells[0].text, "a;b");
}

TEST(TextPattern, MatchesOrSaysWhere) {
  const auto match = [](std::string_view pattern, std::string_view line) {
    auto parsed = TextPattern::parse(pattern);
    EXPECT_TRUE(parsed.ok());
    std::vector<std::string_view> fields;
    auto done = parsed->match(line, fields);
    if (!done.ok()) return done.error().message;
    std::string joined;
    for (const auto field : fields) joined += "<" + std::string(field) + ">";
    return joined;
  };
  EXPECT_EQ(match("{ip} - [{time}] {status:int} {_}", "1.2.3.4 - [now] 200 12 x"),
            "<1.2.3.4><now><200><12 x>");
  EXPECT_EQ(match("{a} end", "x end end"), "<x end>");
  EXPECT_EQ(match("{{{a}}}", "{v}"), "<v>");
  EXPECT_EQ(match("at {t:number}s", "at 1.5s"), "<1.5>");
  EXPECT_THAT(match("{ip} - [{time}] {s:int}", "1.2.3.4 - nothing"),
              HasSubstr("' - [' expected after the field 'ip'"));
  EXPECT_THAT(match("{s:int} {r}", "abc d"), HasSubstr("field 's' found 'abc'"));
  EXPECT_THAT(match("GET {p}", "POST /"), HasSubstr("'GET ' expected at its beginning"));
}

TEST(TextPattern, RefusesPatternsThatCannotWork) {
  for (const char* pattern : {"", "no fields", "{a}{b}", "{a", "a}", "{a} {a}", "{a:date}", "{}"})
    EXPECT_FALSE(TextPattern::parse(pattern).ok()) << pattern;
}

TEST(TextDecoder, MakesTypedRows) {
  auto decoder = decoder_of(Format::kText, [](DecodeOptions& o) {
    o.time_form = TimeForm::kCommonLog;
    o.pattern = R"({id} - - [{ts}] "{_}" {n} {x})";
  });
  EXPECT_THAT(
      decode(*decoder, R"(10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 -)"),
      HasSubstr(R"("id":"10.0.0.1","n":200,"x":null)"));
  EXPECT_THAT(decode(*decoder, "garbage"), HasSubstr("does not fit the pattern"));
}

}  // namespace
}  // namespace qw::streams
