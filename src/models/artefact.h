// One file of a model package, read where it lies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::models {

// A name and bytes that nobody changes. A value: copies share the bytes, which live as long as the
// last of them. Any thread.
//
// A mapped one is the file itself, page by page as it is touched: nothing is copied. It outlives
// its name: a file that is removed or replaced stays as it was for who has it. A file that another
// process changes in place changes here too, and one that it shortens ends this process (SIGBUS)
// when a byte beyond the new end is touched. Nothing of Quickwater does either; a package is
// written once, and the next opening finds the difference.
class Artefact {
 public:
  static Artefact of(std::string name, std::string bytes);
  // kNotFound; kBadInput: not a regular file (a link is none); kIo.
  static Result<Artefact> map(std::string name, const std::string& path);

  const std::string& name() const { return name_; }
  // A mapped one begins at a page.
  std::string_view bytes() const { return bytes_; }
  // Of the bytes, read once when it was made.
  const std::string& sha256() const { return sha256_; }

 private:
  Artefact(std::string name, std::shared_ptr<const void> owner, std::string_view bytes);

  std::string name_;
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
  std::string sha256_;
};

}  // namespace qw::models
