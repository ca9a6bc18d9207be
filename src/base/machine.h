// What the machine allows this process, and how it is shared out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qw {

// Opens what is closed of standard input, output and error to /dev/null: the next file that is
// opened would get its number, and log lines would go into it. First thing of the program.
void hold_standard_streams();

// Turns limits that end a process by a signal into calls that fail (a file larger than `ulimit
// -f`), and keeps what the memory allocator reserves small where address space is limited. Before
// threads start.
void soften_limits();

// Raises the soft limit of open files to the hard one. Returns what holds now. Programs that we
// start get the limit that we were started with: give_back_file_limit(), after a fork.
uint64_t raise_file_limit();
void give_back_file_limit() noexcept;

// How many descriptors each part may hold. What is in neither is for everything else: sources,
// sinks, segments, the pipes of commands.
struct FileShares {
  uint64_t limit = 0;
  int database = 0;
  size_t connections = 0;  // to the HTTP server
};
constexpr size_t kConnectionsMost = 1024;
// With fewer there is no running: what opens first takes what the rest needs.
constexpr uint64_t kFilesLeast = 40;
FileShares share_files(uint64_t limit);

}  // namespace qw
