// The reader's parts: one function per list of the file.
#pragma once

#include "app/config/cursor.h"

namespace qw::app::internal {

Source read_source(const Cursor& at);
// An entry of `features` is one of the two.
void read_feature(const Cursor& at, AppFile& app);
Model read_model(const Cursor& at);
Decision read_decision(const Cursor& at);
// The `client` of a kafka source or sink; reports settings that cannot be given at their place.
std::vector<std::pair<std::string, schema::Secret>> read_kafka_client(const Cursor& kafka);
Healing read_healing(const Cursor& at);
Monitor read_monitor(const Cursor& at);
Training read_training(const Cursor& at);

// Names that lead nowhere, names given twice, columns of the wrong type, windows that cannot work.
void check_names(const AppFile& app, Problems& problems);

}  // namespace qw::app::internal
