// Aim: every command answers as documented: output, errors, exit codes; the reference pages are as
// the tables and commands say.
// Method: the whole program called in process with its streams caught; a few runs of the real
// binary for what only a process has (exit codes, environment).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "app/config/read.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/starter.h"
#include "schema/settings.h"

namespace qw::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const fs::path kSource = QUICKWATER_SOURCE_FOLDER;

struct Answer {
  int code = -1;
  std::string out;
  std::string err;
};

Answer call(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = run(arguments, {out, err});
  return {code, out.str(), err.str()};
}

std::string contents(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class Folder {
 public:
  Folder()
      : path_(fs::path(::testing::TempDir()) / ("quickwater_cli_" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }

 private:
  fs::path path_;
};

// Runs the real program; both its streams go into one file.
Answer spawn(const std::vector<std::string>& arguments, const std::vector<std::string>& variables) {
  const fs::path caught =
      fs::path(::testing::TempDir()) / ("quickwater_out_" + std::to_string(getpid()));
  std::vector<std::string> words = {QUICKWATER_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> copies = variables;
  std::vector<char*> environment;
  for (std::string& one : copies) environment.push_back(one.data());
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, caught.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return {};
  int status = 0;
  waitpid(child, &status, 0);
  Answer answer{WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(caught), {}};
  fs::remove(caught);
  return answer;
}

TEST(Cli, wrong_command_lines_are_usage_errors) {
  EXPECT_EQ(call({}).code, kUsage);
  const Answer unknown = call({"valdiate"});
  EXPECT_EQ(unknown.code, kUsage);
  EXPECT_THAT(unknown.out, IsEmpty());
  EXPECT_THAT(unknown.err, HasSubstr("there is no command 'valdiate'"));
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'validate'?"));
  EXPECT_EQ(call({"validate", "--jsn"}).code, kUsage);
  EXPECT_EQ(call({"validate", "a.yaml", "b.yaml"}).code, kUsage);
  EXPECT_EQ(call({"completion", "fish"}).code, kUsage);
  EXPECT_EQ(call({"completion"}).code, kUsage);
  EXPECT_EQ(call({"new"}).code, kUsage);
  EXPECT_EQ(call({"--frobnicate"}).code, kUsage);
}

TEST(Cli, help_of_everything) {
  const Answer top = call({"--help"});
  EXPECT_EQ(top.code, kOk);
  for (const Command& command : commands()) {
    EXPECT_THAT(top.out, HasSubstr(command.name));
    EXPECT_EQ(call({command.name, "--help"}).code, kOk) << command.name;
    EXPECT_THAT(call({"help", command.name}).out, HasSubstr(command.help));
  }
  EXPECT_THAT(call({"help", "app-file"}).out, HasSubstr("decisions"));
  EXPECT_THAT(call({"help", "app-file", "sources.kafka"}).out, HasSubstr("brokers"));
  EXPECT_THAT(call({"help", "exit-codes"}).out, HasSubstr("bad_app_file"));
  EXPECT_EQ(call({"help", "app-file", "sorces"}).code, kUsage);
  EXPECT_THAT(call({"help", "app-file", "sorces"}).err, HasSubstr("did you mean 'sources'?"));
  EXPECT_EQ(call({"help", "nonsense"}).code, kUsage);
}

TEST(Cli, version) {
  EXPECT_THAT(call({"version"}).out, StartsWith("quickwater "));
  const auto json = nlohmann::json::parse(call({"version", "--json"}).out);
  EXPECT_EQ(json["name"], "quickwater");
}

TEST(Cli, validate_says_where_in_text_and_json) {
  const Folder folder;
  const std::string good = folder.write("good.yaml", starter_app("demo"));
  const Answer fine = call({"validate", good});
  EXPECT_EQ(fine.code, kOk) << fine.err;
  EXPECT_THAT(fine.out, HasSubstr("demo is good: 1 source, 1 feature group, 1 model, 1 decision"));
  const std::string bad = folder.write("bad.yaml", "app: demo\nsorces: []\n");
  const Answer wrong = call({"validate", bad});
  EXPECT_EQ(wrong.code, kBadAppFile);
  EXPECT_THAT(wrong.out, IsEmpty());
  EXPECT_EQ(wrong.err,
            bad + ":2:1: error: unknown key 'sorces'\n    did you mean 'sources'?\n1 error in " +
                bad + "\n");
  const Answer machine = call({"validate", "--json", bad});
  EXPECT_EQ(machine.code, kBadAppFile);
  EXPECT_THAT(machine.err, IsEmpty());
  const auto json = nlohmann::json::parse(machine.out);
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["errors"], 1);
  EXPECT_EQ(json["problems"][0]["code"], "unknown_key");
  EXPECT_EQ(json["problems"][0]["line"], 2);
  EXPECT_EQ(json["problems"][0]["column"], 1);
  EXPECT_EQ(call({"validate", "/nonexistent.yaml"}).code, kBadAppFile);
  EXPECT_TRUE(nlohmann::json::parse(
                  call({"validate", "--json", "/nonexistent.yaml"}).out)["problems"][0]["line"]
                  .is_null());
}

TEST(Cli, new_writes_an_application_that_validates) {
  const Folder folder;
  const std::string made = (folder.path() / "My shop 2").string();
  const Answer answer = call({"new", made});
  EXPECT_EQ(answer.code, kOk) << answer.err;
  EXPECT_THAT(contents(made + "/app.yaml"), HasSubstr("app: My-shop-2\n"));
  const Answer valid = call({"validate", made + "/app.yaml"});
  EXPECT_EQ(valid.code, kOk) << valid.err;
  EXPECT_THAT(valid.err, IsEmpty());
  const Answer again = call({"new", made});
  EXPECT_EQ(again.code, kFailed);
  EXPECT_THAT(again.err, HasSubstr("is there already"));
  const std::string in_the_way = folder.write("file", "");
  EXPECT_EQ(call({"new", in_the_way + "/sub"}).code, kMachine);
}

TEST(Cli, examples_validate) {
  for (const auto& entry : fs::directory_iterator(kSource / "examples")) {
    const fs::path file = entry.path() / "app.yaml";
    if (!fs::exists(file)) continue;
    const Answer answer = call({"validate", "--without-secrets", file.string()});
    EXPECT_EQ(answer.code, kOk) << answer.err;
  }
}

TEST(Cli, completion_knows_every_command) {
  for (const char* shell : {"bash", "zsh"}) {
    const Answer answer = call({"completion", shell});
    EXPECT_EQ(answer.code, kOk);
    for (const Command& command : commands()) EXPECT_THAT(answer.out, HasSubstr(command.name));
    EXPECT_THAT(answer.out, HasSubstr("--without-secrets"));
  }
}

TEST(Cli, exit_codes_are_one_table) {
  std::set<int> documented;
  for (const ExitCode& row : exit_codes()) EXPECT_TRUE(documented.insert(row.code).second);
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code)
    EXPECT_TRUE(documented.contains(exit_code_of(static_cast<ErrorCode>(code)))) << code;
}

TEST(Cli, reference_pages_are_fresh) {
  const std::string mend = "run `quickwater help --write docs/reference`";
  const fs::path pages = kSource / "docs/reference";
  EXPECT_EQ(contents(pages / "app-file.md"), schema::app_file_reference()) << mend;
  EXPECT_EQ(contents(pages / "cli.md"), cli_reference()) << mend;
  EXPECT_EQ(contents(pages / "exit-codes.md"), exit_codes_reference()) << mend;
  const Folder folder;
  EXPECT_EQ(call({"help", "--write", folder.path().string()}).code, kOk);
  EXPECT_EQ(contents(folder.path() / "cli.md"), cli_reference());
  EXPECT_EQ(call({"help", "--write", "/nonexistent/folder"}).code, kMachine);
}

TEST(CliProcess, exit_codes_and_environment_are_real) {
  EXPECT_EQ(spawn({"version"}, {}).code, kOk);
  EXPECT_EQ(spawn({"nonsense"}, {}).code, kUsage);
  EXPECT_EQ(spawn({"validate", "/nonexistent.yaml"}, {}).code, kBadAppFile);
  const Folder folder;
  std::string text = starter_app("demo");
  text += "      - webhook: { url: \"${ALERT_URL}\", secret: \"${ALERT_KEY}\" }\n";
  const std::string file = folder.write("app.yaml", text);
  const Answer missing = spawn({"validate", file}, {"ALERT_URL=http://h/x"});
  EXPECT_EQ(missing.code, kBadAppFile);
  EXPECT_THAT(missing.out, HasSubstr("the variable ALERT_KEY is not set"));
  EXPECT_EQ(spawn({"validate", "--without-secrets", file}, {}).code, kOk);
  for (const char* url : {"http://planted-7f3a/x", "planted-7f3a"})
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"validate", file}, {"validate", "--json", file}}) {
      const Answer answer =
          spawn(arguments, {std::string("ALERT_URL=") + url, "ALERT_KEY=planted-7f3a"});
      EXPECT_EQ(answer.code == kOk, std::string(url).starts_with("http")) << answer.out;
      EXPECT_THAT(answer.out, Not(HasSubstr("planted-7f3a")));
    }
}

}  // namespace
}  // namespace qw::cli
