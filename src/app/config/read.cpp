#include "app/config/read.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/config/cursor.h"
#include "app/config/internal/parts.h"
#include "app/config/shape.h"
#include "app/config/yaml_tree.h"

namespace qw::app {
namespace {

Retention read_retention(const Cursor& at) {
  return {at.duration_us("max_age"), at.size_bytes("max_size")};
}

AppFile read_parts(const Cursor& top) {
  AppFile app;
  app.app = top.name("app");
  app.data = top.text("data");
  const Cursor durability = top.group("durability");
  app.durability.events = durability.choice<Durability>("events");
  app.durability.decisions = durability.choice<Durability>("decisions");
  app.durability.commit_interval_us = durability.duration_us("commit_interval");
  app.durability.replay_max_us = durability.duration_us("replay_max");
  app.durability.state_ttl_us = durability.duration_us("state_ttl");
  app.stop_timeout_us = top.duration_us("stop_timeout");
  const Cursor retention = top.group("retention");
  app.retention = {
      read_retention(retention.group("events")), read_retention(retention.group("decisions")),
      read_retention(retention.group("dead_letters")), read_retention(retention.group("journal"))};
  const Cursor segments = top.group("segments");
  app.segments = {segments.size_bytes("size"), segments.duration_us("age"),
                  segments.duration_us("every")};
  const Cursor memory = top.group("memory");
  app.memory = {memory.size_bytes("views"), memory.size_bytes("models")};
  const Cursor server = top.group("server");
  app.server.address = server.text("address");
  app.server.port = static_cast<uint16_t>(server.integer("port"));
  app.server.names = server.texts("names");
  app.sources = top.list("sources", internal::read_source);
  for (const Cursor& at : top.groups("features")) internal::read_feature(at, app);
  app.models = top.list("models", internal::read_model);
  app.decisions = top.list("decisions", internal::read_decision);
  app.healing = internal::read_healing(top.group("healing"));
  app.monitors = top.list("monitors", internal::read_monitor);
  app.training = top.list("training", internal::read_training);
  app.demo.incidents = top.group("demo").flag("incidents");
  app.demo.labels = top.group("demo").text("labels");
  return app;
}

Reading finish(std::optional<AppFile> app, Problems& problems) {
  Reading reading;
  reading.errors = problems.errors();
  if (reading.errors == 0) reading.app = std::move(app);
  reading.problems = problems.take_sorted();
  return reading;
}

}  // namespace

Reading read_app_text(const std::string& text, const std::string& path,
                      const ReadOptions& options) {
  Problems problems;
  const YamlPtr root = parse_yaml(text, problems);
  if (root == nullptr) return finish(std::nullopt, problems);
  check_shape(*root, problems);
  ReadContext context{options, problems, std::filesystem::path(path).parent_path().string()};
  AppFile app = read_parts(Cursor(root.get(), "", context));
  app.path = path;
  app.folder = context.folder;
  internal::check_names(app, problems);
  return finish(std::move(app), problems);
}

Reading read_app_file(const std::string& path, const ReadOptions& options) {
  std::error_code error;
  Problems problems;
  if (std::filesystem::is_directory(path, error)) {
    problems.error("no_file", {}, "this is a folder",
                   fmt::format("name the file: {}/app.yaml", path));
    return finish(std::nullopt, problems);
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    const bool there = std::filesystem::exists(path, error);
    problems.error("no_file", {}, there ? "the file cannot be opened" : "there is no such file",
                   there ? "check that this user may read it"
                         : "name the application file, or write one with `quickwater new DIR`");
    return finish(std::nullopt, problems);
  }
  // One byte more than allowed is enough to know that it is too large.
  std::string text(kAppFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) {
    problems.error("no_file", {}, "the file cannot be read", "check the disk");
    return finish(std::nullopt, problems);
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  return read_app_text(text, path, options);
}

Result<AppFile> load_app_file(const std::string& path, const ReadOptions& options) {
  Reading reading = read_app_file(path, options);
  if (reading.app.has_value()) return std::move(*reading.app);
  for (const Problem& problem : reading.problems) {
    if (problem.gravity != Gravity::kError) continue;
    std::string where = path;
    if (problem.place.line > 0)
      where += fmt::format(":{}:{}", problem.place.line, problem.place.column);
    std::string message = problem.message;
    if (reading.errors > 1)
      message += fmt::format(" (and {} more; see `quickwater validate`)", reading.errors - 1);
    return Error{ErrorCode::kBadInput, std::move(message), std::move(where), problem.how_to_mend};
  }
  return Error{ErrorCode::kInternal, "the application file has errors but names none", path, ""};
}

}  // namespace qw::app
