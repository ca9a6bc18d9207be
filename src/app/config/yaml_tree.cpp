#include "app/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/utf8.h"

namespace qw::app {
namespace {

Place place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<uint32_t>(mark.line) + 1, static_cast<uint32_t>(mark.column) + 1};
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text = text.substr(end + 1);
  }
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, Problems& problems)
      : lines_(lines_of(text)), problems_(problems) {}

  YamlPtr root() const { return root_; }
  bool failed() const { return failed_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!failed_) finish(make(YamlNode::Kind::kNull, mark), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (failed_) return;
    const auto known = anchors_.find(anchor);
    if (known != anchors_.end()) return give(known->second, place_of(mark));
    fail(place_of(mark), "bad_yaml", "this alias stands inside the value it means",
         "an anchor can be used only after its value has ended");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::kList, mark), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::kMap, mark), anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = 0;
    bool key_given = false;
    std::string key;
    Place key_place;
    std::vector<YamlPtr> merged;  // values of <<
  };

  static std::shared_ptr<YamlNode> make(YamlNode::Kind kind, const YAML::Mark& mark) {
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->place = place_of(mark);
    return node;
  }
  void open(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    if (failed_) return;
    if (open_.size() >= kYamlDepthMax)
      return fail(node->place, "too_deep",
                  fmt::format("the file is nested more than {} levels deep", kYamlDepthMax));
    open_.push_back({std::move(node), anchor, false, {}, {}, {}});
  }
  // Nothing is built from here on; the parser goes on to the file's end.
  void fail(Place place, std::string code, std::string message, std::string how_to_mend = {}) {
    failed_ = true;
    problems_.error(std::move(code), place, std::move(message), std::move(how_to_mend));
  }
  void close();
  void finish(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    const Place place = node->place;
    give(std::move(node), place);
  }
  void give(YamlPtr node, Place place);
  void give_key(Open& map, const YamlPtr& node, Place place);
  void give_entry(Open& map, YamlPtr node);

  std::vector<std::string_view> lines_;
  Problems& problems_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlPtr> anchors_;
  YamlPtr root_;
  bool failed_ = false;
};

void TreeBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& value) {
  if (failed_) return;
  auto node = make(YamlNode::Kind::kScalar, mark);
  node->text = value;
  const bool quoted = tag == "!";
  const uint32_t line = node->place.line;
  if (line >= 1 && line <= lines_.size()) {
    const std::string_view rest =
        lines_[line - 1].substr(std::min<size_t>(node->place.column - 1, lines_[line - 1].size()));
    const bool block = rest.starts_with('|') || rest.starts_with('>');
    const bool inside_quotes = quoted && !block;
    if (rest.substr(inside_quotes ? std::min<size_t>(1, rest.size()) : 0).starts_with(value)) {
      node->one_to_one = true;
      if (inside_quotes) ++node->place.column;
    }
  }
  finish(std::move(node), anchor);
}

void TreeBuilder::close() {
  if (failed_) return;
  Open done = std::move(open_.back());
  open_.pop_back();
  // << gives what the map itself does not say.
  for (const YamlPtr& other : done.merged)
    for (const YamlEntry& entry : other->entries)
      if (done.node->find(entry.key) == nullptr) done.node->entries.push_back(entry);
  finish(std::move(done.node), done.anchor);
}

void TreeBuilder::give(YamlPtr node, Place place) {
  if (open_.empty()) {
    root_ = std::move(node);
    return;
  }
  Open& parent = open_.back();
  if (parent.node->kind == YamlNode::Kind::kMap && !parent.key_given)
    return give_key(parent, node, place);
  parent.node->values += node->values;
  if (parent.node->values > kYamlValuesMax)
    return fail(
        place, "too_large",
        fmt::format("the file has more than {} values once aliases are filled in", kYamlValuesMax));
  if (parent.node->kind == YamlNode::Kind::kMap) return give_entry(parent, std::move(node));
  parent.node->items.push_back(std::move(node));
}

void TreeBuilder::give_key(Open& map, const YamlPtr& node, Place place) {
  if (node->kind == YamlNode::Kind::kList || node->kind == YamlNode::Kind::kMap)
    return fail(place, "bad_yaml", "a list or a group cannot be a key",
                "when a text begins with { or [, put it in quotes");
  map.key_given = true;
  map.key = node->kind == YamlNode::Kind::kNull ? "null" : node->text;
  map.key_place = place;
}

void TreeBuilder::give_entry(Open& map, YamlPtr node) {
  map.key_given = false;
  if (map.key == "<<" && node->kind == YamlNode::Kind::kMap) {
    map.merged.push_back(std::move(node));
    return;
  }
  if (const YamlEntry* earlier = map.node->find(map.key)) {
    problems_.error("duplicate_key", map.key_place, fmt::format("'{}' is given twice", map.key),
                    fmt::format("it was first given in line {}; keep one", earlier->place.line));
    return;
  }
  if (map.node->entries.size() >= kYamlKeysMax)
    return fail(map.key_place, "too_large",
                fmt::format("this group has more than {} keys", kYamlKeysMax));
  map.node->entries.push_back({map.key, map.key_place, std::move(node)});
}

// ---- checks before yaml-cpp, whose words for these are hard to understand

Place place_at(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto newlines = std::count(before.begin(), before.end(), '\n');
  const size_t last = before.rfind('\n');
  const size_t column = last == std::string_view::npos ? offset : offset - last - 1;
  return {static_cast<uint32_t>(newlines + 1), static_cast<uint32_t>(column + 1)};
}

bool check_bytes(std::string_view text, Problems& problems) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text.substr(at));
    const auto byte = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      problems.error("bad_encoding", place_at(text, at),
                     fmt::format("the file is not UTF-8: byte 0x{:02x}", byte),
                     "save it as UTF-8 without a special encoding");
      return false;
    }
    if (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') {
      problems.error("bad_encoding", place_at(text, at),
                     fmt::format("the file holds the control character 0x{:02x}", byte),
                     "an application file is plain text; was another file meant?");
      return false;
    }
    at += length;
  }
  return true;
}

bool check_indentation(std::string_view text, Problems& problems) {
  uint32_t number = 0;
  for (const std::string_view line : lines_of(text)) {
    ++number;
    const size_t indent = line.find_first_not_of(" \t");
    if (indent == std::string_view::npos || line[indent] == '#') continue;
    if (const size_t tab = line.substr(0, indent).find('\t'); tab != std::string_view::npos) {
      problems.error("bad_yaml", {number, static_cast<uint32_t>(tab) + 1},
                     "a tab is used to indent this line", "YAML is indented with spaces only");
      return false;
    }
  }
  return true;
}

// yaml-cpp's messages for the slips people make most, in plainer words.
struct Plainer {
  std::string_view theirs;
  std::string_view message;
  std::string_view how_to_mend;
};
constexpr Plainer kPlainer[] = {
    {"end of map flow", "this { is not closed, or a comma is missing before here",
     "write { key: value, key: value }"},
    {"end of sequence flow", "this [ is not closed, or a comma is missing before here",
     "write [a, b]"},
    {"illegal flow end", "this } or ] does not match what is open",
     "each { needs a } and each [ a ]; put texts that hold them in quotes"},
    {"illegal map value", "a ':' stands where none can be",
     "when the text itself holds ': ', put all of it in quotes"},
    {"end of map not found", "this line does not fit the ones before it",
     "check its indentation, and that the line has the form `key: value`"},
    {"end of sequence not found", "this line does not fit the list it stands in",
     "list items begin with '- ' at one indentation"},
    {"EOF in scalar", "a text in quotes does not end", "close the quotes"},
    {"referenced anchor is not defined", "no anchor of this name comes before this alias",
     "put &NAME at the value it means, or quote a text that begins with *"},
    {"illegal block entry", "a list item ('- ') stands where none can be",
     "put the list on its own lines, below its key"},
    {"illegal map key", "a new key stands where none can be", "put it on its own line"},
    {"unknown escape", "a text in double quotes holds an unknown \\ sequence",
     "write \\\\ for a backslash, or use single quotes"},
    {"unknown token", "a text cannot begin with this character", "put the text in quotes"},
};

void report(const YAML::Exception& exception, Problems& problems) {
  for (const Plainer& plainer : kPlainer) {
    if (exception.msg.find(plainer.theirs) == std::string::npos) continue;
    problems.error("bad_yaml", place_of(exception.mark), std::string(plainer.message),
                   std::string(plainer.how_to_mend));
    return;
  }
  problems.error("bad_yaml", place_of(exception.mark), "YAML: " + exception.msg);
}

}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
  for (const YamlEntry& entry : entries)
    if (entry.key == key) return &entry;
  return nullptr;
}

YamlPtr parse_yaml(const std::string& text, Problems& problems) {
  if (text.size() > kAppFileBytesMax) {
    problems.error(
        "too_large", {},
        fmt::format("the file has {} bytes, more than {}", text.size(), kAppFileBytesMax),
        "was a data file meant to be an application file?");
    return nullptr;
  }
  if (!check_bytes(text, problems) || !check_indentation(text, problems)) return nullptr;
  TreeBuilder builder(text, problems);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder) && parser) {
      TreeBuilder second(text, problems);
      if (parser.HandleNextDocument(second))
        problems.error("bad_yaml", second.root() ? second.root()->place : Place{},
                       "the file holds a second document", "keep one; remove the line '---'");
    }
  } catch (const YAML::Exception& exception) {
    if (!builder.failed()) report(exception, problems);
    return nullptr;
  }
  if (builder.failed()) return nullptr;
  const YamlPtr root = builder.root();
  if (root == nullptr || root->kind == YamlNode::Kind::kNull) {
    problems.error("empty_file", {}, "the file is empty",
                   "`quickwater new DIR` writes one to start from");
    return nullptr;
  }
  return root;
}

}  // namespace qw::app
