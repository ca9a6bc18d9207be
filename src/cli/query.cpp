// `quickwater query`: SQL over what an application remembers, also while it runs. Reads segments
// alone, through the list that the running application replaces at each change.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "base/files.h"
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

struct Arguments {
  std::string sql;
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
                 data_folder, "leave --fresh out, or name its data folder with --data"};
  const auto rolled = ask_running(url, "/v1/segments/roll", "{}");
  return rolled.ok() ? Result<void>() : Result<void>(rolled.error());
}

Result<Answer> ask(const Arguments& arguments) {
  if (arguments.fresh) QW_TRY(roll(arguments.data));
  const std::string folder = store::segment_folder(arguments.data);
  const auto views = read_file(fmt::format("{}/{}", folder, store::kViewsFile));
  if (!views.ok())
    return Error{ErrorCode::kNotFound, "there are no segments of an application", folder,
                 "name the data folder of an application that ran: --data DIR"};
  QW_TRY(store::verify_views(folder, *views, arguments.sql));
  QW_ASSIGN(const auto engine, store::duckdb::Engine::open({arguments.memory_mb, 1}));
  QW_TRY(engine->run(fmt::format("set file_search_path = {}", store::duckdb::quoted_text(folder))));
  QW_TRY(engine->run(*views));
  auto answer = engine->ask(arguments.sql);
  if (answer.ok()) return answer;
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
  const auto answer = ask(arguments);
  if (!answer.ok()) return say(io, answer.error());
  if (arguments.json)
    print_json(*answer, io.out);
  else
    print_table(*answer, io.out);
  return kOk;
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
  command.add_flag("--fresh", arguments->fresh,
                   "first asks the running application for its newest records: all that a restart "
                   "of it would not read again");
  command.add_flag("--json", arguments->json, "one JSON object a line in place of the table");
  return [arguments](Io io) { return query(*arguments, io); };
}

}  // namespace qw::cli
