// For threads that take what others leave.
#pragma once

namespace qw {

// Gives the calling thread the lowest ordinary priority, for good. It must hold no lock that
// others wait for but for moments.
void be_nice();

}  // namespace qw
