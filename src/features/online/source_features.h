// What is computed on the events of one source.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "features/definition.h"
#include "schema/batch.h"

namespace qw::features {

// A compiled view, and the name under which its states are stored.
struct StoredView {
  ViewPtr view;
  std::string owner;  // of its states: "view/metric@<hash>"
};

// A source with its views and what is derived from them. A value; immutable once compiled, then
// readable from any thread.
struct SourceFeatures {
  std::string name;
  std::shared_ptr<const schema::Schema> schema;
  std::vector<StoredView> views;
  std::vector<Derived> derived;
  // Columns of the source, then features of the views, then derived features.
  std::shared_ptr<const schema::Schema> inputs;
  size_t features_begin = 0;

  // Columns of the source that some view of it is made from, each once.
  std::vector<size_t> columns_of_views() const;
};

}  // namespace qw::features
