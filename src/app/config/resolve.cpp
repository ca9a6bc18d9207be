// ${VAR} and file:PATH: from what is written to what is meant, without ever printing the latter.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/config/cursor.h"
#include "app/config/shape.h"

namespace qw::app {
namespace {

constexpr size_t kSecretFileBytesMax = 64 * 1024;

// "http://name:password@host/" -> "http://***@host/": written out in the file, yet not for logs.
std::string without_user_info(const std::string& text) {
  const size_t scheme = text.find("://");
  if (scheme == std::string::npos) return text;
  const size_t begin = scheme + 3;
  const size_t end = text.find_first_of("/?#", begin);
  const size_t at = text.substr(0, end).rfind('@');
  if (at == std::string::npos || at < begin) return text;
  return text.substr(0, begin) + "***" + text.substr(at);
}

schema::Secret read_secret_file(const YamlNode& node, ReadContext& context) {
  const std::string name = node.text.substr(5);
  std::filesystem::path path(name);
  if (path.is_relative() && !context.folder.empty()) path = context.folder / path;
  if (!context.options.resolve) return {std::string{}, node.text};
  std::error_code error;
  const auto fail = [&](std::string message, std::string mend) -> schema::Secret {
    context.problems.error("bad_secret", node.place, std::move(message), std::move(mend));
    return {std::string{}, node.text};
  };
  if (name.empty() || !std::filesystem::is_regular_file(path, error))
    return fail(fmt::format("there is no file '{}'", path.string()),
                "write the secret into it, or correct the path; it is relative to the app file");
  std::ifstream stream(path, std::ios::binary);
  std::string value(kSecretFileBytesMax + 1, '\0');
  stream.read(value.data(), static_cast<std::streamsize>(value.size()));
  if (stream.bad() || !stream.eof())
    return stream.good() ? fail(fmt::format("the file '{}' has more than {} bytes", path.string(),
                                            kSecretFileBytesMax),
                                "a file: value is one secret")
                         : fail(fmt::format("the file '{}' cannot be read", path.string()),
                                "check that this user may read it");
  value.resize(static_cast<size_t>(stream.gcount()));
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  if (value.empty()) return fail(fmt::format("the file '{}' is empty", path.string()), "");
  return {std::move(value), node.text};
}

// The value of what stands between ${ and }. Nullopt: reported.
std::optional<std::string> variable(const YamlNode& node, std::string_view inside,
                                    ReadContext& context) {
  const size_t colon = inside.find(":-");
  const std::string name(inside.substr(0, colon));
  if (!schema::check_name(name, schema::SettingKind::kIdentifier).ok()) {
    context.problems.error("bad_secret", node.place,
                           fmt::format("'{}' cannot be the name of a variable", name),
                           "write ${NAME}; a literal ${ is written $${");
    return std::nullopt;
  }
  if (!context.options.resolve) return std::string{};
  const std::optional<std::string> value = context.options.variables(name);
  if (value.has_value() && !value->empty()) return value;
  if (colon != std::string_view::npos) return std::string(inside.substr(colon + 2));
  context.problems.error(
      "missing_variable", node.place,
      fmt::format("the variable {} is {}", name, value.has_value() ? "empty" : "not set"),
      fmt::format("set it ({}=... quickwater ...), or give a fallback: ${{{}:-VALUE}}", name,
                  name));
  return std::nullopt;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

schema::Secret resolve_secret(const YamlNode& node, bool hidden, ReadContext& context) {
  const std::string& text = node.text;
  if (text.starts_with("file:")) return read_secret_file(node, context);
  std::string value;
  bool replaced = false;
  for (size_t at = 0; at < text.size();) {
    if (text.compare(at, 3, "$${") == 0) {
      value += "${";
      at += 3;
      continue;
    }
    if (text.compare(at, 2, "${") != 0) {
      value += text[at++];
      continue;
    }
    const size_t end = text.find('}', at);
    if (end == std::string::npos) {
      context.problems.error("bad_secret", node.place, "this ${ is not closed",
                             "write ${NAME}; a literal ${ is written $${");
      return {std::string{}, "***"};
    }
    const auto part = variable(node, std::string_view(text).substr(at + 2, end - at - 2), context);
    value += part.value_or("");
    replaced = true;
    at = end + 1;
  }
  if (value.empty() && !replaced)
    context.problems.error("bad_value", node.place, "this value is empty",
                           "leave the key out instead");
  // Beside a variable, what is written out may hold a secret's other half: a hidden setting shows
  // its variables only when it is nothing else.
  const bool only_variable =
      replaced && text.starts_with("${") && text.find('}') + 1 == text.size();
  if (hidden && !(only_variable && text.find(":-") == std::string::npos))
    return {std::move(value), "***"};
  return {std::move(value), without_user_info(text)};
}

}  // namespace qw::app
