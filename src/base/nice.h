// What a thread asks of the scheduler. Both are for good, change speed only, and need no rights.
#pragma once

namespace qw {

// For threads that take what others leave: the lowest ordinary priority. Such a thread must hold
// no lock that others wait for but for moments.
void be_nice();

// Back to ordinary priority, for who waits for such a thread (a stop). From any thread; `thread` is
// what this_thread() says there. Without the right to raise a priority nothing changes.
int this_thread();
void be_ordinary(int thread);

// For threads that work for moments and sleep: when one wakes it goes before those that have been
// running for long, for no larger a share of the processor. Does nothing on Linux before 6.12.
void be_prompt();

}  // namespace qw
