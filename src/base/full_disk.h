// Which refusals of the system mean that there is no room to write.
#pragma once

#include <cerrno>

namespace qw {

// Of an errno: the disk, a quota or a limit on the size of a file. Any thread.
constexpr bool means_full_disk(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

}  // namespace qw
