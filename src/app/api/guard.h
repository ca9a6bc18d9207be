// Who may call: the names this server answers to, its own origin, and the page's token for changes.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/api/answer.h"

namespace qw::app {

// 64 hex digits that nobody can guess; new at each call.
std::string random_token();

// Judges requests by their headers alone. Immutable; any thread.
class Guard {
 public:
  // `address` and `port`: where the server listens; `names`: further names it is reached by.
  Guard(const std::string& address, uint16_t port, const std::vector<std::string>& names,
        std::string token);

  // Nothing when the call may go on. Changes (anything but GET and HEAD) need the token.
  std::optional<Refusal> judge(const net::HttpRequest& request) const;
  const std::string& token() const { return token_; }

 private:
  std::set<std::string> hosts_;  // in lower case
  std::string token_;
};

}  // namespace qw::app
