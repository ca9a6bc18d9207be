// What is said when an exception reaches the end of a thread that is not ours.
#pragma once

namespace qw::cli {

// From then on such an exception ends the process with a line that names it: with kMachine when
// memory or another means of the machine ended, else by abort(), as a mistake of the program.
// Threads of ours catch what they run; this is for those of the libraries.
void speak_before_terminate();

}  // namespace qw::cli
