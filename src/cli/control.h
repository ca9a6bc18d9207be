// Commands that ask a running application, over its control API (docs/reference/api.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/net/http.h"
#include "base/result.h"

namespace qw::cli {

// In the data folder of a running application: the address of its server.
constexpr const char* kControlFile = "control.url";

// The address of the application that runs on the data folder; empty: none does, as far as is
// known. One that was killed is still named: nobody answers there.
std::string running_at(const std::string& data_folder);

// The address given, or else that of the application on the data folder. kUnavailable when none
// runs: `command` says who asks, `how_to_mend` what else may be done.
Result<std::string> address_of(const std::string& url, const std::string& data_folder,
                               const std::string& command, const std::string& how_to_mend);

// The answer to a call; `body` empty: a GET, else a POST with the page's token. What the API
// refuses is told in its own words: kConflict when something runs already, else kBadInput.
// kUnavailable: it cannot answer now, or nobody does.
Result<nlohmann::json> ask_running(const std::string& url, const std::string& path,
                                   const std::string& body = "", int limit_ms = 5'000);

}  // namespace qw::cli
