#!/usr/bin/env bash
# ./dev fmt: formats the C++ files that git knows, in place.
. tools/dev/lib.sh
setup demo test
mapfile -t files < <(git ls-files -- '*.cpp' '*.h')
step "clang-format, ${#files[@]} files" "mend the file named above" clang-format -i "${files[@]}"
