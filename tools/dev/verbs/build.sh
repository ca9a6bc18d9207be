#!/usr/bin/env bash
# ./dev build [TARGETS...]: the optimised build, assertions on, in build/.
. tools/dev/lib.sh
setup demo
configure build
compile build "$@"
