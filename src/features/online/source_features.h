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

// A view of another source, read on the events of this one: by the columns of this source that are
// called as its key is, as of the event's time. A value.
struct JoinedView {
  size_t source = 0;  // of the view, and its place there
  size_t view = 0;
  ViewPtr definition;
  std::vector<size_t> key_columns;  // of this source
};

// A source with its views and what is derived from them. A value; immutable once compiled, then
// readable from any thread.
struct SourceFeatures {
  std::string name;
  std::shared_ptr<const schema::Schema> schema;
  std::vector<StoredView> views;
  std::vector<JoinedView> joined;
  std::vector<Derived> derived;
  // Columns of the source, then features of the views, of the joined ones, then derived features.
  std::shared_ptr<const schema::Schema> inputs;
  size_t features_begin = 0;

  // Columns of the source that some view of it is made from, each once.
  std::vector<size_t> columns_of_views() const;
};

}  // namespace qw::features
