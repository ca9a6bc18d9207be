// `quickwater retrain`: asks the running application for a training and tells how it goes. A
// stopped one is trained by `quickwater train`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/env.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"

namespace qw::cli {
namespace {

using nlohmann::json;

constexpr int64_t kLookEveryUs = 500'000;

struct Arguments {
  std::string model;
  std::string url;
  std::string data = "data";
  std::string reason = "asked by quickwater retrain";
  int64_t wait_s = 600;
  bool json = false;
};

std::string text_of(const json& object, const char* name) {
  return object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : "";
}

json list_of(const json& object, const char* name) {
  return object.contains(name) && object[name].is_array() ? object[name] : json::array();
}

// The named model, or the only one that learns.
Result<std::string> model_of(const std::string& url, const std::string& named) {
  QW_ASSIGN(const json answer, ask_running(url, "/v1/models"));
  std::vector<std::string> known;
  for (const json& model : list_of(answer, "models"))
    if (!text_of(model, "champion").empty()) known.push_back(text_of(model, "name"));
  if (known.empty())
    return Error{ErrorCode::kBadInput, "no model of the application has a detector to train", url,
                 "give one a `detector`"};
  if (named.empty() && known.size() == 1) return known.front();
  if (std::find(known.begin(), known.end(), named) != known.end()) return named;
  return Error{ErrorCode::kBadInput,
               named.empty() ? "several models can be trained"
                             : fmt::format("there is no model '{}' to train", named),
               url, fmt::format("name one of: {}", fmt::join(known, ", "))};
}

// The run as it stands; nothing when the application knows it no longer.
Result<json> run_of(const std::string& url, const std::string& run_id) {
  QW_ASSIGN(const json answer, ask_running(url, "/v1/models"));
  for (const json& model : list_of(answer, "models"))
    for (const json& run : list_of(model, "training"))
      if (text_of(run, "run_id") == run_id) return run;
  return Error{ErrorCode::kUnavailable, "the run is not known any more", run_id,
               "the application was started anew: ask again"};
}

bool is_over(const json& run) {
  const std::string state = text_of(run, "state");
  return state != "queued" && state != "running";
}

// Tells each step until it is over, or the time is.
Result<json> follow(const std::string& url, json run, int64_t wait_s, Io io) {
  const std::string run_id = text_of(run, "run_id");
  const int64_t until_ns = real_clock().monotonic_ns() + wait_s * 1'000'000'000;
  std::string told;
  while (!is_over(run) && real_clock().monotonic_ns() < until_ns) {
    real_clock().sleep_us(kLookEveryUs);
    QW_ASSIGN(run, run_of(url, run_id));
    std::string now =
        fmt::format("trial {} of {}", run.value("trials_done", 0), run.value("trials_total", 0));
    if (now != told && !is_over(run)) io.err << now << '\n' << std::flush;
    told = std::move(now);
  }
  return run;
}

std::string words_of(const json& run, const std::string& model) {
  const std::string state = text_of(run, "state");
  if (state == "published")
    return fmt::format("published version {} of '{}': it warms up beside the one that serves\n",
                       text_of(run, "version"), model);
  if (!is_over(run))
    return fmt::format("'{}' is trained as {}; the page tells how it goes\n", model,
                       text_of(run, "run_id"));
  return fmt::format("{}: {}\n", state, text_of(run, "message"));
}

Result<json> retrain(const std::string& url, Arguments& arguments, Io io) {
  QW_ASSIGN(arguments.model, model_of(url, arguments.model));
  QW_ASSIGN(json run, ask_running(url, fmt::format("/v1/models/{}/retrain", arguments.model),
                                  json{{"reason", arguments.reason}}.dump()));
  return follow(url, std::move(run), arguments.wait_s, io);
}

int run_retrain(Arguments& arguments, Io io) {
  const auto url =
      address_of(arguments.url, arguments.data, "retrain",
                 "name its folder with --data, or train a stopped one: quickwater train");
  if (!url.ok()) return say(io, url.error());
  const auto run = retrain(*url, arguments, io);
  if (!run.ok()) return say(io, run.error());
  if (arguments.json)
    io.out << run->dump(2) << '\n';
  else
    io.out << words_of(*run, arguments.model);
  return text_of(*run, "state") == "published" || !is_over(*run) ? kOk : kFailed;
}

}  // namespace

Run declare_retrain(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("model", arguments->model,
                     "the model to train; may be left out when only one has a detector");
  command.add_option("--url", arguments->url,
                     "the running application to ask, as http://127.0.0.1:8765");
  command.add_option("--data", arguments->data,
                     "its data folder, where its address is found; data when left out");
  command.add_option("--reason", arguments->reason, "kept in the version's lineage");
  command
      .add_option("--wait", arguments->wait_s,
                  "seconds to wait for the result, 0 for none; 600 when left out. The run goes on "
                  "without this command")
      ->check(CLI::Range(0, 86400));
  command.add_flag("--json", arguments->json, "the run as one JSON object, as the API gives it");
  return [arguments](Io io) { return run_retrain(*arguments, io); };
}

}  // namespace qw::cli
