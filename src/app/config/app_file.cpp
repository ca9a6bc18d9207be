#include "app/config/app_file.h"

#include <fmt/format.h>

#include <filesystem>

#include "schema/settings.h"

namespace qw::app {
namespace {

template <class T>
const T* find(const std::vector<T>& all, const std::string& name) {
  for (const T& one : all)
    if (one.name.text == name) return &one;
  return nullptr;
}

}  // namespace

const char* Source::kind_name() const {
  constexpr const char* kNames[] = {"host", "file", "http", "kafka"};
  return kNames[kind.index()];
}

const char* Sink::kind_name() const {
  constexpr const char* kNames[] = {"log", "kafka", "webhook", "alertmanager"};
  return kNames[kind.index()];
}

std::string Window::suffix() const {
  const std::string size = schema::format_duration(size_us);
  return step_us == 0 ? size : size + "_by_" + schema::format_duration(step_us);
}

std::string AppFile::where(Place place) const {
  if (place.line == 0) return path;
  return fmt::format("{}:{}:{}", path, place.line, place.column);
}

std::string AppFile::resolve(const std::string& name) const {
  const std::filesystem::path given(name);
  if (given.is_absolute() || folder.empty()) return name;
  return (std::filesystem::path(folder) / given).lexically_normal().string();
}

const Source* AppFile::source(const std::string& name) const { return find(sources, name); }
const View* AppFile::view(const std::string& name) const { return find(views, name); }
const Model* AppFile::model(const std::string& name) const { return find(models, name); }
const Decision* AppFile::decision(const std::string& name) const { return find(decisions, name); }

}  // namespace qw::app
