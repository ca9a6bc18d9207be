#!/usr/bin/env bash
# ./dev test [--asan|--tsan|--long|--mutants|--fuzz SECONDS] [--filter X]: what a change must pass (tools/dev/test.py).
. tools/dev/lib.sh
setup demo test
exec python3 tools/dev/test.py "$@"
