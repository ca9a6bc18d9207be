#include "features/definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "features/cell_text.h"
#include "schema/settings.h"

namespace qw::features {
namespace {

std::vector<std::string> names_of(const schema::Schema& schema) {
  std::vector<std::string> names;
  for (const schema::Field& field : schema.fields()) names.push_back(field.name);
  return names;
}

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && std::ranges::all_of(text, fits) && !(text[0] >= '0' && text[0] <= '9');
}

// Keeps the separator of composite keys out of their parts.
void append_escaped(std::string_view part, std::string& out) {
  for (const char c : part) {
    if (c != '\x1f' && c != '\x1e') {
      out.push_back(c);
    } else {
      out.push_back('\x1e');
      out.push_back(c == '\x1f' ? '1' : '0');
    }
  }
}

Error bad(std::string message, std::string how = "") {
  return Error{ErrorCode::kBadInput, std::move(message), "", std::move(how)};
}

}  // namespace

Result<std::shared_ptr<const View>> View::compile(const ViewDefinition& definition,
                                                  std::shared_ptr<const schema::Schema> source,
                                                  int64_t allowed_lateness_us,
                                                  const AggregateTable& aggregates) {
  std::shared_ptr<View> view(new View);
  view->definition_ = definition;
  view->source_ = std::move(source);
  view->allowed_lateness_us_ = allowed_lateness_us;
  if (!is_name(definition.name))
    return bad(fmt::format("'{}' is not a name for a view", definition.name),
               "use letters, digits and _, beginning with a letter");
  if (definition.on_hot_key != "reject")
    return view->error_in(
        "on_hot_key", bad(fmt::format("no such rule '{}'", definition.on_hot_key), "write reject"));
  if (definition.max_rows == 0)
    return view->error_in("max_rows", bad("it keeps no rows at all", "write 1 or more"));
  QW_TRY(view->compile_keys());
  QW_TRY(view->compile_windows());
  QW_TRY(view->compile_aggregates(aggregates));
  QW_TRY(view->name_features());
  view->identify();
  return std::shared_ptr<const View>(std::move(view));
}

Error View::error_in(const std::string& part, const Error& error) const {
  Error located = error;
  located.where = fmt::format("view {}, {}{}{}", definition_.name, part,
                              error.where.empty() ? "" : ", ", error.where);
  return located;
}

Result<void> View::compile_keys() {
  if (definition_.key.empty())
    return error_in("key", bad("a view needs a key", "name the column that groups the events"));
  for (const std::string& name : definition_.key) {
    const auto index = source_->index_of(name);
    if (!index)
      return error_in("key",
                      bad(fmt::format("source {} has no column '{}'", definition_.source, name),
                          schema::suggestion(name, names_of(*source_))));
    if (source_->field(*index).type.kind == schema::Kind::kDouble)
      return error_in("key", bad(fmt::format("'{}' is a double, which is no key", name),
                                 "use a string, int64, bool, timestamp or decimal column"));
    key_columns_.push_back(*index);
  }
  return {};
}

Result<void> View::compile_windows() {
  if (definition_.windows.empty())
    return error_in("windows", bad("a view needs a window", "write one such as 1h or 7d/1h"));
  for (const std::string& text : definition_.windows) {
    auto window = parse_window(text);
    if (!window) return error_in("windows", window.error());
    if (std::ranges::find(windows_, *window) != windows_.end())
      return error_in("windows", bad(fmt::format("'{}' is there twice", text), "remove one"));
    keep_us_ = std::max(keep_us_, window->reach_us());
    windows_.push_back(*window);
  }
  keep_us_ += allowed_lateness_us_;
  return {};
}

Result<void> View::compile_aggregates(const AggregateTable& table) {
  if (definition_.aggregates.empty())
    return error_in("aggregates", bad("a view needs an aggregate", "write one such as n: count()"));
  for (const AggregateDefinition& written : definition_.aggregates) {
    const std::string part = "aggregate " + written.name;
    if (!is_name(written.name))
      return error_in(part, bad(fmt::format("'{}' is not a name", written.name),
                                "use letters, digits and _, beginning with a letter"));
    auto aggregate = compile_aggregate(written.name, written.text, *source_, table);
    if (!aggregate) return error_in(part, aggregate.error());
    if (aggregate->argument) {
      const auto same = [&](const Expression& other) {
        std::string_view a = other.text();
        std::string_view b = aggregate->argument->text();
        a.remove_prefix(std::min(a.find_first_not_of(' '), a.size()));
        b.remove_prefix(std::min(b.find_first_not_of(' '), b.size()));
        return a == b;
      };
      const auto found = std::ranges::find_if(arguments_, same);
      aggregate->argument_slot = static_cast<size_t>(found - arguments_.begin());
      if (found == arguments_.end()) arguments_.push_back(*aggregate->argument);
    }
    aggregates_.push_back(std::move(*aggregate));
  }
  if (arguments_.size() > kViewArgumentsMax)
    return error_in("aggregates",
                    bad(fmt::format("{} different arguments are above the limit of {}",
                                    arguments_.size(), kViewArgumentsMax),
                        "split the view in two"));
  return {};
}

Result<void> View::name_features() {
  std::set<std::string> seen;
  std::vector<schema::Field> fields;
  for (size_t w = 0; w < windows_.size(); ++w) {
    for (size_t a = 0; a < aggregates_.size(); ++a) {
      const Aggregate& aggregate = aggregates_[a];
      const std::string name = aggregate.name + "_" + windows_[w].name();
      for (int64_t nth = aggregate.k > 0 ? 1 : 0; nth <= aggregate.k; ++nth) {
        features_.push_back({aggregate.k > 0 ? fmt::format("{}_{}", name, nth) : name, w, a, nth,
                             aggregate.type, aggregate.parity});
        if (!seen.insert(features_.back().name).second)
          return error_in(
              "aggregate " + aggregate.name,
              bad(fmt::format("two features would be called '{}'", features_.back().name),
                  "rename one of the aggregates"));
        fields.push_back({features_.back().name, aggregate.type, true});
      }
    }
  }
  if (features_.size() > kViewFeaturesMax)
    return error_in("windows", bad(fmt::format("{} features are above the limit of {}",
                                               features_.size(), kViewFeaturesMax),
                                   "split the view in two"));
  output_ = std::make_shared<const schema::Schema>(std::move(fields));
  return {};
}

void View::identify() {
  const auto use = [&](size_t column) {
    if (std::ranges::find(columns_, column) == columns_.end()) columns_.push_back(column);
  };
  for (const size_t column : key_columns_) use(column);
  for (const Expression& argument : arguments_)
    for (const size_t column : argument.columns()) use(column);
  std::string identity = definition_.source;
  for (const std::string& key : definition_.key) identity += "|k:" + key;
  for (const size_t column : columns_)
    identity += fmt::format("|c:{}:{}", source_->field(column).name,
                            source_->field(column).type.to_string());
  for (const Expression& argument : arguments_) identity += "|a:" + argument.text();
  identity += fmt::format("|{}|{}", keep_us_, definition_.max_rows);
  hash_ = checksum64(identity);
}

bool View::key_of(const schema::Batch& rows, size_t row, const std::vector<size_t>& columns,
                  std::string& out) {
  const size_t before = out.size();
  for (const size_t index : columns) {
    const schema::Column& column = rows.column(index);
    if (!column.valid(row)) {
      out.resize(before);
      return false;
    }
    if (out.size() > before) out.push_back('\x1f');
    if (column.type().kind == schema::Kind::kString && columns.size() > 1)
      append_escaped(column.string_at(row), out);
    else
      append_key_part(column, row, out);
  }
  return true;
}

std::shared_ptr<const schema::Schema> expression_inputs(const schema::Schema& source,
                                                        const std::vector<ViewPtr>& views) {
  std::vector<schema::Field> fields = source.fields();
  for (const ViewPtr& view : views)
    for (const Feature& feature : view->features())
      fields.push_back({view->name() + "." + feature.name, feature.type, true});
  return std::make_shared<const schema::Schema>(std::move(fields));
}

Result<std::vector<Derived>> compile_derived(const std::vector<DeriveDefinition>& definitions,
                                             std::shared_ptr<const schema::Schema>& inputs) {
  std::vector<Derived> derived;
  for (const DeriveDefinition& definition : definitions) {
    const std::string part = "derive " + definition.name;
    if (!is_name(definition.name))
      return Error{ErrorCode::kBadInput, fmt::format("'{}' is not a name", definition.name), part,
                   "use letters, digits and _, beginning with a letter"};
    if (inputs->index_of(definition.name))
      return Error{ErrorCode::kBadInput, fmt::format("'{}' exists already", definition.name), part,
                   "rename the derived feature"};
    auto expression = Expression::compile(definition.expression, *inputs);
    if (!expression) {
      Error located = expression.error();
      located.where = part + ", " + located.where;
      return located;
    }
    std::vector<schema::Field> fields = inputs->fields();
    fields.push_back({definition.name, expression->type(), true});
    inputs = std::make_shared<const schema::Schema>(std::move(fields));
    derived.push_back({definition.name, std::move(*expression)});
  }
  return derived;
}

}  // namespace qw::features
