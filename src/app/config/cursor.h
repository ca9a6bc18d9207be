// A group of the file during reading: values by key, defaults from the settings table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config/app_file.h"
#include "app/config/problems.h"
#include "app/config/read.h"
#include "app/config/yaml_tree.h"
#include "schema/settings.h"

namespace qw::app {

// What all parts of one reading share; it outlives them.
struct ReadContext {
  const ReadOptions& options;
  Problems& problems;
  std::string folder;  // of the file
};

// Reads what check_shape() has judged: a value that is missing, or was reported as wrong, reads as
// the table's default, so that reading goes on and later checks still have something to look at.
// Asking for a key that the table does not have is a bug and stops the process.
class Cursor {
 public:
  // `node` may be null (the group is absent) or of any kind; only a map has values.
  Cursor(const YamlNode* node, std::string path, ReadContext& context)
      : node_(node), path_(std::move(path)), context_(context) {}

  bool given() const { return node_ != nullptr; }
  bool has(std::string_view key) const { return value_of(key) != nullptr; }
  // Of the value at key, else of the group.
  Place place(std::string_view key) const;
  Place key_place(std::string_view key) const;
  Place place() const { return node_ == nullptr ? Place{} : node_->place; }

  std::string text(std::string_view key) const;
  bool flag(std::string_view key) const { return text(key) == "true"; }
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  double share(std::string_view key) const;
  int64_t duration_us(std::string_view key) const;
  int64_t size_bytes(std::string_view key) const;
  std::pair<int64_t, int64_t> rate(std::string_view key) const;
  // The position among the table's choices, which the enum lists in the same order.
  template <class Enum>
  Enum choice(std::string_view key) const {
    return static_cast<Enum>(choice_index(key));
  }
  Name name(std::string_view key) const;
  std::vector<Name> names(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;
  Expression expression(std::string_view key) const;
  schema::Secret secret(std::string_view key) const;
  std::vector<Window> windows(std::string_view key) const;
  std::pair<std::optional<double>, std::optional<double>> bounds(std::string_view key) const;

  Cursor group(std::string_view key) const;
  std::vector<Cursor> groups(std::string_view key) const;
  // What `read` makes of each group of a list.
  template <class Read>
  auto list(std::string_view key, const Read& read) const {
    std::vector<decltype(read(std::declval<const Cursor&>()))> made;
    for (const Cursor& one : groups(key)) made.push_back(read(one));
    return made;
  }
  // Maps, in the order of the file.
  std::vector<NamedExpression> expressions(std::string_view key) const;
  std::vector<std::pair<std::string, schema::Secret>> secrets(std::string_view key) const;
  std::vector<std::pair<Name, Name>> name_map(std::string_view key) const;
  std::vector<std::pair<Name, const YamlNode*>> map(std::string_view key) const;

  ReadContext& context() const { return context_; }

 private:
  const schema::Setting& setting(std::string_view key) const;
  const YamlNode* value_of(std::string_view key) const;
  // The scalar as written when it is good, else the default.
  std::string good_text(std::string_view key) const;
  size_t choice_index(std::string_view key) const;

  const YamlNode* node_;
  std::string path_;
  ReadContext& context_;
};

// Replaces ${VAR} and file:PATH. Problems name the variable or path, never a value.
schema::Secret resolve_secret(const YamlNode& node, bool hidden, ReadContext& context);

}  // namespace qw::app
