// Aim: definitions compile to the promised names, types and classes; wrong ones name the wrong part
// and the nearest right one.
#include "features/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/settings.h"

namespace qw::features {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const schema::Schema> transactions() {
  return std::make_shared<const schema::Schema>(
      std::vector<schema::Field>{{"card_id", schema::kString},
                                 {"merchant_id", schema::kString},
                                 {"amount", schema::kDouble},
                                 {"items", schema::kInt64},
                                 {"price", {schema::Kind::kDecimal, 12, 2}}});
}

ViewDefinition card() {
  return {"card", "transactions", {"card_id"}, {"1m", "7d/1h"}, {{"n", "count()"}}};
}

std::string error_of(const ViewDefinition& definition) {
  const auto view = View::compile(definition, transactions(), 0);
  return view ? "compiled" : view.error().to_string();
}

std::string error_of_aggregate(const std::string& text) {
  ViewDefinition definition = card();
  definition.aggregates = {{"x", text}};
  return error_of(definition);
}

TEST(Duration, ReadsAndWrites) {
  EXPECT_EQ(*parse_duration_us("500ms"), 500'000);
  EXPECT_EQ(*parse_duration_us("7d"), 604'800'000'000);
  EXPECT_EQ(schema::format_duration(3'600'000'000), "1h");
  EXPECT_EQ(schema::format_duration(90'000'000), "90s");
  EXPECT_EQ(parse_window("7d/1h")->name(), "7d_by_1h");
  EXPECT_EQ(parse_window("7d/1h")->to_string(), "7d/1h");
  for (const std::string_view wrong : {"", "1", "h", "-1h", "0s", "1.5h", "1 h", "1y", "99999999d",
                                       "1h/", "/1h", "1h/2h", "1h/0s"})
    EXPECT_FALSE(parse_window(wrong).ok()) << wrong;
}

TEST(Duration, WindowsBeginWhereTheyShouldAlsoBefore1970) {
  EXPECT_EQ((Window{10, 0}.first_inside(100)), 91);
  EXPECT_EQ((Window{10, 4}.first_inside(100)), 88);
  EXPECT_EQ((Window{10, 4}.first_inside(98)), 88);
  EXPECT_EQ((Window{10, 4}.first_inside(5)), -8);
  EXPECT_EQ((Window{10, 4}.first_inside(INT64_MIN)), INT64_MIN);
}

TEST(Definition, NamesTypesAndClasses) {
  ViewDefinition definition = card();
  definition.aggregates = {{"spent", "sum(amount)"},
                           {"paid", "sum(price)"},
                           {"last_paid", "last_k(price, 2)"},
                           {"who", "count_distinct(merchant_id)"}};
  const auto view = View::compile(definition, transactions(), 30'000'000);
  ASSERT_TRUE(view.ok()) << view.error().to_string();
  std::vector<std::string> names;
  for (const Feature& feature : (*view)->features()) names.push_back(feature.name);
  EXPECT_THAT(names, ElementsAre("spent_1m", "paid_1m", "last_paid_1m_1", "last_paid_1m_2",
                                 "who_1m", "spent_7d_by_1h", "paid_7d_by_1h",
                                 "last_paid_7d_by_1h_1", "last_paid_7d_by_1h_2", "who_7d_by_1h"));
  EXPECT_EQ((*view)->features()[0].parity, ParityClass::kFloat);
  EXPECT_EQ((*view)->features()[1].parity, ParityClass::kExact);
  EXPECT_EQ((*view)->features()[1].type.to_string(), "decimal(18,2)");
  EXPECT_EQ((*view)->arguments().size(), 3u);  // price is kept once
  const auto inputs = expression_inputs(*transactions(), {*view});
  EXPECT_TRUE(inputs->index_of("card.spent_7d_by_1h").has_value());
}

TEST(Definition, ErrorsNameThePartAndTheNearestName) {
  ViewDefinition wrong = card();
  wrong.key = {"card"};
  EXPECT_THAT(error_of(wrong),
              HasSubstr("view card, key: source transactions has no column 'card'"));
  wrong = card();
  wrong.key = {"amount"};
  EXPECT_THAT(error_of(wrong), HasSubstr("'amount' is a double, which is no key"));
  wrong = card();
  wrong.windows = {"1y"};
  EXPECT_THAT(error_of(wrong), HasSubstr("view card, windows: '1y' is not a duration"));
  wrong = card();
  wrong.on_hot_key = "step";
  EXPECT_THAT(error_of(wrong), HasSubstr("view card, on_hot_key: no such rule 'step'"));
  wrong = card();
  wrong.aggregates = {{"n", "count()"}, {"n", "sum(amount)"}};
  EXPECT_THAT(error_of(wrong), HasSubstr("two features would be called 'n_1m'"));
  EXPECT_THAT(error_of_aggregate("summ(amount)"),
              HasSubstr("view card, aggregate x, column 1: 'summ' is not an aggregate"));
  EXPECT_THAT(error_of_aggregate("summ(amount)"), HasSubstr("did you mean 'sum'?"));
  EXPECT_THAT(error_of_aggregate("sum(amuont)"), HasSubstr("column 5: no column or feature"));
  EXPECT_THAT(error_of_aggregate("sum(card_id)"), HasSubstr("sum needs a number, not string"));
  EXPECT_THAT(error_of_aggregate("quantile(amount, 95)"), HasSubstr("between 0 and 1"));
  EXPECT_THAT(error_of_aggregate("quantile(amount)"), HasSubstr("write quantile(x, 0.95)"));
  EXPECT_THAT(error_of_aggregate("last(amount) max_age 5y"), HasSubstr("'5y' is not a duration"));
  EXPECT_THAT(error_of_aggregate("sum(amount) max_age 5m"), HasSubstr("first and last only"));
  EXPECT_THAT(error_of_aggregate("amount"), HasSubstr("'amount' is not an aggregate"));
  EXPECT_THAT(error_of_aggregate("sum()"), HasSubstr("write sum(x)"));
}

TEST(Definition, DerivedFeaturesMayUseEarlierOnes) {
  const auto view = View::compile(card(), transactions(), 0);
  ASSERT_TRUE(view.ok());
  auto inputs = expression_inputs(*transactions(), {*view});
  const auto derived =
      compile_derived({{"ratio", "amount / nullif(card.n_1m, 0)"}, {"big", "ratio > 10"}}, inputs);
  ASSERT_TRUE(derived.ok()) << derived.error().to_string();
  EXPECT_EQ((*derived)[1].expression.type(), schema::kBool);
  const auto wrong = compile_derived({{"amount", "1"}}, inputs);
  EXPECT_THAT(wrong.error().to_string(), HasSubstr("derive amount: 'amount' exists already"));
}

TEST(Definition, KeysKeepTheirPartsApart) {
  const auto source = std::make_shared<const schema::Schema>(std::vector<schema::Field>{
      {"a", schema::kString}, {"b", schema::kString}, {"c", schema::kInt64}});
  const auto view =
      View::compile({"v", "s", {"a", "b", "c"}, {"1m"}, {{"n", "count()"}}}, source, 0);
  ASSERT_TRUE(view.ok());
  schema::Batch rows(source);
  rows.append_row({std::string("x\x1f"), std::string("y"), int64_t{1}});
  rows.append_row({std::string("x"), std::string("\x1fy"), int64_t{1}});
  rows.append_row({std::string("x"), {}, int64_t{1}});
  std::string first;
  std::string second;
  std::string none;
  EXPECT_TRUE((*view)->key_of(rows, 0, first));
  EXPECT_TRUE((*view)->key_of(rows, 1, second));
  EXPECT_NE(first, second);
  EXPECT_FALSE((*view)->key_of(rows, 2, none));
  EXPECT_EQ(none, "");
}

}  // namespace
}  // namespace qw::features
