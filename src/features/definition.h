// What a user defines: views (aggregates of one source by key) and derived features; and the same,
// checked against the source.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "features/aggregate.h"
#include "features/duration.h"
#include "schema/batch.h"

namespace qw::features {

// One aggregate as the application file writes it, not checked yet. A value.
struct AggregateDefinition {
  std::string name;  // "spent"
  std::string text;  // "sum(amount)", "quantile(amount, 0.95)", "last(price) max_age 1h"
};

// A view as the application file writes it, not checked yet: View::compile does that. A value.
struct ViewDefinition {
  std::string name;    // "card"
  std::string source;  // "transactions"
  std::vector<std::string> key;
  std::vector<std::string> windows;  // "1m", "7d/1h"
  std::vector<AggregateDefinition> aggregates;
  bool exclude_current = false;       // a decision on an event leaves that event out
  size_t max_rows = 100'000;          // kept per key
  std::string on_hot_key = "reject";  // what to do above max_rows; reject is the only way yet
};

// A derived feature as the application file writes it, not checked yet: compile_derived does that.
// A value.
struct DeriveDefinition {
  std::string name;
  std::string expression;
};

// One output of a view: an aggregate over a window, "spent_7d" ("spent_7d_by_1h" for 7d/1h; one
// "price_1h_1", "price_1h_2", ... per value of last_k, newest first).
struct Feature {
  std::string name;
  size_t window = 0;
  size_t aggregate = 0;
  int64_t nth = 0;  // last_k only: 1 is the newest
  schema::Type type;
  ParityClass parity = ParityClass::kExact;
};

constexpr size_t kViewArgumentsMax = 64;
constexpr size_t kViewFeaturesMax = 4096;

// A checked view. Immutable; shared by every state and reader of it.
class View {
 public:
  // kBadInput naming the part that is wrong ("view card, aggregate spent") and the nearest valid
  // name. `allowed_lateness_us` is the source's.
  static Result<std::shared_ptr<const View>> compile(
      const ViewDefinition& definition, std::shared_ptr<const schema::Schema> source,
      int64_t allowed_lateness_us, const AggregateTable& aggregates = builtin_aggregates());

  const ViewDefinition& definition() const { return definition_; }
  const std::string& name() const { return definition_.name; }
  const schema::Schema& source() const { return *source_; }
  const std::vector<size_t>& key_columns() const { return key_columns_; }
  // Columns of the source that states are made from: of the key and of arguments, each once.
  const std::vector<size_t>& columns() const { return columns_; }
  const std::vector<Window>& windows() const { return windows_; }
  const std::vector<Aggregate>& aggregates() const { return aggregates_; }
  // Distinct aggregate arguments: the values kept of each event.
  const std::vector<Expression>& arguments() const { return arguments_; }
  const std::vector<Feature>& features() const { return features_; }
  // The features' names and types, in order.
  const std::shared_ptr<const schema::Schema>& output() const { return output_; }
  int64_t allowed_lateness_us() const { return allowed_lateness_us_; }
  // An event older than the newest by more than this can no longer matter.
  int64_t keep_us() const { return keep_us_; }
  // Changes when stored state of this view would be misread or mean something else: with the names
  // and types of columns(), the arguments, and how much is kept. Other columns of the source, their
  // order, and windows within what is kept do not matter.
  uint64_t hash() const { return hash_; }

  // The key of a row as bytes, appended to `out`. False (nothing appended) when a key column is
  // null: such an event belongs to no key.
  bool key_of(const schema::Batch& rows, size_t row, std::string& out) const {
    return key_of(rows, row, key_columns_, out);
  }
  // The same of a row of another source, whose `columns` are of the types of key_columns().
  static bool key_of(const schema::Batch& rows, size_t row, const std::vector<size_t>& columns,
                     std::string& out);

 private:
  View() = default;
  Result<void> compile_keys();
  Result<void> compile_windows();
  Result<void> compile_aggregates(const AggregateTable& table);
  Result<void> name_features();
  void identify();
  Error error_in(const std::string& part, const Error& error) const;

  ViewDefinition definition_;
  std::shared_ptr<const schema::Schema> source_;
  std::vector<size_t> key_columns_;
  std::vector<size_t> columns_;
  std::vector<Window> windows_;
  std::vector<Aggregate> aggregates_;
  std::vector<Expression> arguments_;
  std::vector<Feature> features_;
  std::shared_ptr<const schema::Schema> output_;
  int64_t allowed_lateness_us_ = 0;
  int64_t keep_us_ = 0;
  uint64_t hash_ = 0;
};
using ViewPtr = std::shared_ptr<const View>;

// The names that expressions on events of `source` may use: its columns, then every feature of the
// views as "card.n_1m". Derived features are appended by compile_derived.
std::shared_ptr<const schema::Schema> expression_inputs(const schema::Schema& source,
                                                        const std::vector<ViewPtr>& views);

// A derived feature that was checked. Immutable, like its expression; any thread.
struct Derived {
  std::string name;
  Expression expression;
};
// Checks derived features in order; each may use the ones before it. `inputs` grows by one field
// per derived feature.
Result<std::vector<Derived>> compile_derived(const std::vector<DeriveDefinition>& definitions,
                                             std::shared_ptr<const schema::Schema>& inputs);

}  // namespace qw::features
