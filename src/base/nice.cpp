#include "base/nice.h"

#include <sys/resource.h>
#include <unistd.h>

namespace qw {

void be_nice() {
  // On Linux each thread has a niceness of its own. A refusal changes speed only.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);
}

}  // namespace qw
