// Aim: what ${VAR} and file:PATH stand for is used and never shown.
// Method: plant one value everywhere a secret can stand, in good files and in files that are wrong
// around it, and look for it in every text the reader makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "app/config/read.h"

namespace qw::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kPlanted[] = "planted-7f3a";

ReadOptions planting() {
  ReadOptions options;
  options.variables = [](const std::string& name) -> std::optional<std::string> {
    if (name == "TOKEN") return kPlanted;
    return std::nullopt;
  };
  return options;
}

std::string all_of(const Reading& reading) {
  std::string text;
  for (const Problem& problem : reading.problems)
    text += to_text(problem, "app.yaml") + problem.code;
  return text;
}

std::string app_with(const std::string& webhook) {
  return "app: a\n"
         "sources: [{ name: m, host: }]\n"
         "models: [{ name: d, detector: ensemble, key: series, inputs: [value] }]\n"
         "decisions:\n"
         "  - { name: w, on: m, model: d, sinks: [{ webhook: " +
         webhook + " }] }\n";
}

const Webhook& webhook_of(const Reading& reading) {
  return std::get<WebhookSink>(reading.app->decisions[0].sinks[0].kind).webhook;
}

TEST(Secrets, variables_are_replaced_and_shown_as_written) {
  const Reading reading = read_app_text(
      app_with("{ url: \"http://host/${TOKEN}/${OTHER:-x}\", secret: \"${TOKEN}\", headers: { "
               "Authorization: \"Bearer ${TOKEN}\", X-Price: \"$${TOKEN}\" } }"),
      "app.yaml", planting());
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  const Webhook& webhook = webhook_of(reading);
  EXPECT_EQ(webhook.url.reveal(), "http://host/planted-7f3a/x");
  EXPECT_EQ(webhook.url.shown(), "http://host/${TOKEN}/${OTHER:-x}");
  EXPECT_EQ(webhook.secret.reveal(), kPlanted);
  EXPECT_EQ(webhook.secret.shown(), "${TOKEN}");
  EXPECT_EQ(webhook.headers[0].second.reveal(), "Bearer planted-7f3a");
  EXPECT_EQ(webhook.headers[0].second.shown(), "***");
  EXPECT_EQ(webhook.headers[1].second.reveal(), "${TOKEN}");
}

TEST(Secrets, files_are_read_and_shown_by_name) {
  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) / "quickwater_secrets_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "token") << kPlanted << "\n";
  std::ofstream(folder / "empty") << "\n";
  std::ofstream(folder / "large") << std::string(70'000, 'x');
  const std::string path = (folder / "app.yaml").string();
  const auto read = [&](const std::string& file) {
    return read_app_text(app_with("{ url: \"http://h\", secret: \"file:" + file + "\" }"), path,
                         planting());
  };
  const Reading good = read("token");
  ASSERT_TRUE(good.app.has_value()) << all_of(good);
  EXPECT_EQ(webhook_of(good).secret.reveal(), kPlanted);
  EXPECT_EQ(webhook_of(good).secret.shown(), "file:token");
  EXPECT_THAT(all_of(read("missing")), HasSubstr("there is no file"));
  EXPECT_THAT(all_of(read("empty")), HasSubstr("is empty"));
  EXPECT_THAT(all_of(read("large")), HasSubstr("more than 65536 bytes"));
  std::filesystem::remove_all(folder);
}

TEST(Secrets, a_missing_variable_is_named) {
  const Reading reading =
      read_app_text(app_with("{ url: \"http://host/${CASE_API}\" }"), "app.yaml", planting());
  EXPECT_FALSE(reading.app.has_value());
  EXPECT_THAT(all_of(reading), HasSubstr("app.yaml:5:"));
  EXPECT_THAT(all_of(reading), HasSubstr("the variable CASE_API is not set"));
}

TEST(Secrets, nothing_that_goes_wrong_shows_the_value) {
  const std::vector<std::string> wrong = {
      app_with("{ url: \"${TOKEN}\" }"),                             // not an address
      app_with("{ url: \"http://h\", secret: \"${TOKEN}${NO}\" }"),  // half of it missing
      app_with("{ url: \"http://h\", timeout: \"${TOKEN}\" }"),      // no variables here
      app_with("{ url: \"http://h\", secrte: \"${TOKEN}\" }"),       // unknown key
      app_with("{ url: [\"${TOKEN}\"] }"),                           // wrong kind
      app_with("{ url: \"http://h\", secret: \"${TOKEN\" }"),        // not closed
      "app: \"${TOKEN}\"\nsources: \"${TOKEN}\"\n",
      "app: a\nsources: [{ name: \"${TOKEN}\", kafka: \"${TOKEN}\" }]\n",
  };
  for (const std::string& text : wrong) {
    const Reading reading = read_app_text(text, "app.yaml", planting());
    EXPECT_FALSE(reading.app.has_value()) << text;
    EXPECT_THAT(all_of(reading), Not(HasSubstr(kPlanted))) << text;
  }
}

TEST(Secrets, written_out_in_the_file_they_are_hidden_too) {
  const Reading reading =
      read_app_text(app_with("{ url: \"http://joe:planted-7f3a@host/x\", secret: planted-7f3a }"),
                    "app.yaml", planting());
  ASSERT_TRUE(reading.app.has_value()) << all_of(reading);
  EXPECT_EQ(webhook_of(reading).url.shown(), "http://***@host/x");
  EXPECT_EQ(webhook_of(reading).secret.shown(), "***");
  EXPECT_THAT(all_of(reading), HasSubstr("a secret is written out in the file"));
  EXPECT_THAT(all_of(reading), Not(HasSubstr(kPlanted)));
}

}  // namespace
}  // namespace qw::app
