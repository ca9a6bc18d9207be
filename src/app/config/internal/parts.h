// The reader's parts: one function per list of the file.
#pragma once

#include "app/config/cursor.h"

namespace qw::app::internal {

void read_source(const Cursor& at, AppFile& app);
void read_feature(const Cursor& at, AppFile& app);
void read_model(const Cursor& at, AppFile& app);
void read_decision(const Cursor& at, AppFile& app);
void read_healing(const Cursor& at, AppFile& app);
void read_monitor(const Cursor& at, AppFile& app);
void read_training(const Cursor& at, AppFile& app);

// Names that lead nowhere, names given twice, columns of the wrong type, windows that cannot work.
void check_names(const AppFile& app, Problems& problems);

}  // namespace qw::app::internal
