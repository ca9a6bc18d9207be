// `quickwater query`: SQL over what an application remembers, also while it runs. Reads segments
// alone, through the list that the running application replaces at each change.
#include <fmt/format.h>

#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "app/runtime/load_plan.h"
#include "app/runtime/log_tails.h"
#include "base/files.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/exit_codes.h"
#include "store/duckdb/engine.h"
#include "store/segments/listing.h"
#include "store/segments/segment.h"

namespace qw::cli {
namespace {

using store::duckdb::Answer;

constexpr size_t kCellMax = 60;  // of a table, in bytes

constexpr int kRollMs = 60'000;  // to write files of what is only in the database

struct Arguments {
  std::string sql;
  std::string file;
  std::string data = "data";
  size_t memory_mb = 512;
  bool json = false;
  bool fresh = false;
};

// The running application moves what it may into segments.
Result<void> roll(const std::string& data_folder) {
  const std::string url = running_at(data_folder);
  if (url.empty())
    return Error{ErrorCode::kUnavailable, "no application runs that could write its newest records",
                 data_folder,
                 "leave --fresh out (a query sees everything without it), or name its data folder "
                 "with --data"};
  const auto rolled = ask_running(url, "/v1/segments/roll", "{}", kRollMs);
  return rolled.ok() ? Result<void>() : Result<void>(rolled.error());
}

// The views over all there is, and the folder of files that were made for this question; removed
// with this.
struct Views {
  std::string sql;
  std::string folder;
  bool partial = false;  // the newest records are not in them
  ~Views() {
    std::error_code failed;
    if (!folder.empty()) std::filesystem::remove_all(folder, failed);
  }
};

Result<void> ask_running_views(const Arguments& arguments, const std::string& url, Views& views) {
  QW_ASSIGN(const auto told, ask_running(url, "/v1/segments/tails", "{}", kRollMs));
  if (!told.contains("views") || !told["views"].is_string() || !told["folder"].is_string())
    return Error{ErrorCode::kUnavailable, "the program there is of another version", url, ""};
  views.sql = told["views"].get<std::string>();
  views.folder = store::segment_folder(arguments.data) + "/" + told["folder"].get<std::string>();
  return {};
}

// Of an application that does not run: from its store itself.
Result<void> make_views(const Arguments& arguments, Views& views) {
  MetricRegistry metrics;
  store::StoreOptions options;
  options.folder = arguments.data;
  options.read_only = true;
  QW_ASSIGN(const auto store, store::Store::open(options, metrics));
  std::string file = arguments.file;
  if (file.empty()) {
    QW_ASSIGN(file, app::remembered_app_file(*store));
  }
  const app::Loading loading = app::load_plan(file);
  // One that was named must serve; the one it last ran with may have moved.
  if (loading.plan == nullptr)
    return Error{arguments.file.empty() ? ErrorCode::kNotFound : ErrorCode::kBadInput,
                 "the application file is missing or has errors", file,
                 fmt::format("`quickwater validate {}` names them; --app names another", file)};
  // Elsewhere: the data folder of a stopped application is left as it is.
  std::error_code failed;
  const auto temporary = std::filesystem::temp_directory_path(failed);
  views.folder =
      fmt::format("{}/quickwater-query-{}", failed ? "/tmp" : temporary.string(), ::getpid());
  QW_ASSIGN(views.sql, app::write_tails(*loading.plan, *store, views.folder, [] { return true; }));
  return {};
}

bool may_be_tried_again(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout ||
         error.code == ErrorCode::kConflict || error.code == ErrorCode::kExhausted ||
         error.code == ErrorCode::kNotFound;
}

// Everything that is durable. Where the newest records cannot be had now, the segments alone, and a
// word on that: then the answer is only a part.
Result<void> find_views(const Arguments& arguments, Views& views, Io io) {
  const std::string folder = store::segment_folder(arguments.data);
  const auto rolled = read_file(fmt::format("{}/{}", folder, store::kViewsFile));
  if (!rolled.ok())
    return Error{ErrorCode::kNotFound, "there are no segments of an application", folder,
                 "name the data folder of an application that ran: --data DIR"};
  const std::string url = running_at(arguments.data);
  Result<void> found =
      url.empty() ? make_views(arguments, views) : ask_running_views(arguments, url, views);
  // One that was killed left its address behind.
  if (!found.ok() && !url.empty()) {
    auto made = make_views(arguments, views);
    if (made.ok() || made.error().code != ErrorCode::kConflict) found = std::move(made);
  }
  if (found.ok() || !may_be_tried_again(found.error())) return found;
  views.partial = true;
  io.err << "the newest records are left out: " << found.error().to_string() << '\n';
  views.sql = *rolled;
  return {};
}

struct Answered {
  Answer answer;
  bool partial = false;
};

Result<Answered> ask(const Arguments& arguments, Io io) {
  if (arguments.fresh) QW_TRY(roll(arguments.data));
  const std::string folder = store::segment_folder(arguments.data);
  Views views;
  QW_TRY(find_views(arguments, views, io));
  QW_TRY(store::verify_views(folder, views.sql, arguments.sql));
  const Progress progress("asking");
  QW_ASSIGN(const auto engine, store::duckdb::Engine::open({arguments.memory_mb, 1}));
  QW_TRY(engine->run(fmt::format("set file_search_path = {}", store::duckdb::quoted_text(folder))));
  QW_TRY(engine->run(views.sql));
  auto answer = engine->ask(arguments.sql);
  if (answer.ok()) return Answered{std::move(answer).value(), views.partial};
  Error error = answer.error();
  if (error.how_to_mend.empty())
    error.how_to_mend =
        "`show tables` lists what there is, `describe decisions` the columns; a name with a dot is "
        "written in double quotes";
  return error;
}

nlohmann::json value_of(const Answer::Column& column, const std::optional<std::string>& cell) {
  if (!cell) return nullptr;
  if (!column.number) return *cell;
  const auto value = nlohmann::json::parse(*cell, nullptr, false);
  return value.is_discarded() ? nlohmann::json(*cell) : value;  // nan, inf
}

void print_json(const Answer& answer, std::ostream& out) {
  for (const auto& row : answer.rows) {
    nlohmann::ordered_json line = nlohmann::ordered_json::object();
    for (size_t column = 0; column < row.size(); ++column)
      line[answer.columns[column].name] = value_of(answer.columns[column], row[column]);
    out << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  }
}

std::string shown(const std::optional<std::string>& cell) {
  if (!cell) return "";
  std::string text = *cell;
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return text.size() <= kCellMax ? text : text.substr(0, kCellMax - 3) + "...";
}

void print_table(const Answer& answer, std::ostream& out) {
  std::vector<size_t> widths;
  for (const auto& column : answer.columns) widths.push_back(column.name.size());
  for (const auto& row : answer.rows)
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], shown(row[column]).size());
  const auto line = [&](const auto& text_of) {
    std::string text;
    for (size_t column = 0; column < widths.size(); ++column)
      text += answer.columns[column].number
                  ? fmt::format("{:>{}}  ", text_of(column), widths[column])
                  : fmt::format("{:<{}}  ", text_of(column), widths[column]);
    out << text.substr(0, text.find_last_not_of(' ') + 1) << '\n';
  };
  line([&](size_t column) { return answer.columns[column].name; });
  line([&](size_t column) { return std::string(widths[column], '-'); });
  for (const auto& row : answer.rows) line([&](size_t column) { return shown(row[column]); });
}

int query(const Arguments& arguments, Io io) {
  const auto asked = ask(arguments, io);
  if (!asked.ok()) return say(io, asked.error());
  if (arguments.json)
    print_json(asked->answer, io.out);
  else
    print_table(asked->answer, io.out);
  return asked->partial ? kPartial : kOk;
}

}  // namespace

Run declare_query(CLI::App& command) {
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option("sql", arguments->sql,
                  "DuckDB's SQL over the views decisions, events_SOURCE, dead_letters and journal")
      ->required();
  command.add_option("--data", arguments->data,
                     "the data folder of the application, running or stopped; data when left out");
  command.add_option("--memory-mb", arguments->memory_mb, "more than this fails the query; 512")
      ->check(CLI::Range(64, 65'536));
  command.add_option("--app", arguments->file,
                     "the application file, of a stopped application; the one it last ran with "
                     "when left out");
  command.add_flag("--fresh", arguments->fresh,
                   "first lets the running application move what it may into segments, for a "
                   "DuckDB of your own; a query sees everything without it");
  command.add_flag("--json", arguments->json, "one JSON object a line in place of the table");
  return [arguments](Io io) { return query(*arguments, io); };
}

}  // namespace qw::cli
