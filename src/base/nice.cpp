#include "base/nice.h"

#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace qw {

// On Linux each thread has a niceness and a time slice of its own. What is refused changes nothing.

int this_thread() { return gettid(); }

void be_ordinary(int thread) { setpriority(PRIO_PROCESS, static_cast<id_t>(thread), 0); }

void be_nice() { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19); }

// The scheduler runs first who is due first, and who asks for a short slice is due soon
// (EEVDF; Linux documentation, scheduler/sched-eevdf). 0.1 ms is the shortest there is.
void be_prompt() {
  sched_attr wanted{};
  wanted.size = sizeof wanted;
  wanted.sched_policy = 0;  // SCHED_OTHER
  wanted.sched_nice = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
  wanted.sched_runtime = 100'000;
  syscall(SYS_sched_setattr, gettid(), &wanted, 0);
}

}  // namespace qw
