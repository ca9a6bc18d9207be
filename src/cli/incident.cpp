// `quickwater incident`: asks the running application for an incident; where none runs, it is one
// bounded load in this very process, so that whatever ends the process ends the load. The
// application starts its own loads that way too (app/incident/incident.h).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/incident/load.h"
#include "base/files.h"
#include "base/net/http.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

constexpr size_t kControlFileBytesMax = 1024;

struct Arguments {
  std::string kind;
  std::string url;
  std::string data = "data";
  app::IncidentLoad load;
};

// The key for changes, which the server writes into its page.
Result<std::string> token_of(const std::string& url) {
  QW_ASSIGN(const net::HttpResponse page, net::send_http("GET", url + "/", "", {}, {}));
  constexpr std::string_view kMark = "name=\"quickwater-token\" content=\"";
  const size_t mark = page.body.find(kMark);
  if (mark == std::string::npos)
    return Error{ErrorCode::kNotFound, "there is no page of a running application", url,
                 "give the address that `quickwater run` printed"};
  const size_t begin = mark + kMark.size();
  return page.body.substr(begin, page.body.find('"', begin) - begin);
}

// The error of an answer in the API's shape.
Error refusal_of(const net::HttpResponse& answer, const std::string& where) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  const auto text = [&body](const char* name) {
    return body.is_object() && body.contains(name) && body[name].is_string()
               ? body[name].get<std::string>()
               : std::string();
  };
  const std::string message = text("message");
  return {answer.status == 409 ? ErrorCode::kConflict : ErrorCode::kUnavailable,
          message.empty() ? fmt::format("the answer was {}", answer.status) : message, where,
          text("how_to_mend")};
}

Result<std::string> ask(const std::string& url, const Arguments& arguments) {
  QW_ASSIGN(const std::string token, token_of(url));
  const nlohmann::json wish = {{"kind", arguments.kind}, {"seconds", arguments.load.seconds}};
  const std::string target = url + "/v1/demo/incident";
  QW_ASSIGN(
      const net::HttpResponse answer,
      net::send_http("POST", target, wish.dump(),
                     {{"Content-Type", "application/json"}, {"X-Quickwater-Token", token}}, {}));
  if (answer.status != 202) return refusal_of(answer, target);
  const auto begun = nlohmann::json::parse(answer.body, nullptr, false);
  return begun.is_object() ? begun.value("id", std::string()) : std::string();
}

// The address of the application that runs on the data folder; empty: none does, as far as is
// known.
std::string running_at(const std::string& data_folder) {
  const auto url = read_file(data_folder + "/" + kControlFile, kControlFileBytesMax);
  return url.ok() ? url->substr(0, url->find('\n')) : std::string();
}

int run_alone(const Arguments& arguments, Io io) {
  const auto done = app::run_incident_load(arguments.load, real_clock());
  if (done.ok()) return kOk;
  io.err << done.error().to_string() << '\n';
  return exit_code_of(done.error().code);
}

int run_incident(Arguments& arguments, Io io) {
  const auto kind = app::parse_incident_kind(arguments.kind);
  if (!kind.ok()) return kUsage;
  arguments.load.kind = *kind;
  if (arguments.load.parent_pid != 0) return run_alone(arguments, io);
  const bool given = !arguments.url.empty();
  const std::string url = given ? arguments.url : running_at(arguments.data);
  if (!url.empty()) {
    const auto id = ask(url, arguments);
    if (id.ok()) {
      io.out << fmt::format("asked {}: {} of {} s runs there as {}\n", url, arguments.kind,
                            arguments.load.seconds, *id);
      return kOk;
    }
    if (given || id.error().code != ErrorCode::kUnavailable) {
      io.err << id.error().to_string() << '\n';
      return exit_code_of(id.error().code);
    }
  }
  io.out << fmt::format("no application runs on '{}': {} s of {} in this process\n", arguments.data,
                        arguments.load.seconds, arguments.kind)
         << std::flush;
  return run_alone(arguments, io);
}

}  // namespace

Run declare_incident(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  app::IncidentLoad& load = arguments->load;
  command
      .add_option("kind", arguments->kind,
                  "cpu, memory or disk (a file without a name, in this folder); bounded, and over "
                  "at Ctrl-C")
      ->required()
      ->check(CLI::IsMember({"cpu", "memory", "disk"}));
  command
      .add_option("--seconds", load.seconds,
                  fmt::format("how long, {} to {} (a running application: from {}); {} when left "
                              "out",
                              app::kLoadSecondsMin, app::kIncidentSecondsMax,
                              app::kIncidentSecondsMin, load.seconds))
      ->check(CLI::Range(app::kLoadSecondsMin, app::kIncidentSecondsMax));
  command.add_option("--url", arguments->url,
                     "the running application to ask, as http://127.0.0.1:8765");
  command.add_option("--data", arguments->data,
                     "its data folder, where its address is found; data when left out. Where no "
                     "application runs, the load runs in this process");
  // An empty group hides them: what the application tells its child.
  command.add_option("--folder", load.folder, "where the disk load writes")->group("");
  command.add_option("--with-parent", load.parent_pid, "end with this process")->group("");
  return [arguments](Io io) { return run_incident(*arguments, io); };
}

}  // namespace qw::cli
