#!/usr/bin/env bash
# ./dev test [--asan|--tsan] [--filter X]: everything a change must pass; tools/dev/test.py does the work.
. tools/dev/lib.sh
setup demo test
exec python3 tools/dev/test.py "$@"
