#!/usr/bin/env bash
# ./dev test [--asan|--tsan|--long|--mutants] [--filter X]: what a change must pass; tools/dev/test.py does it.
. tools/dev/lib.sh
setup demo test
exec python3 tools/dev/test.py "$@"
