#!/usr/bin/env bash
# ./dev bench NAME [--json] [OPTIONS]: builds bench_NAME and runs it. What the steps say goes to the error stream, so
# that the output holds the table or the JSON alone.
. tools/dev/lib.sh
name=${1:-}
if [ -z "$name" ] || [ ! -d "bench/$name" ]; then
  echo "usage: ./dev bench NAME [--json] [OPTIONS]; NAME is one of:" \
    "$(find bench -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | tr '\n' ' ')" >&2
  exit 2
fi
shift
{
  setup demo
  configure build
  compile build "bench_$name"
} >&2
exec "build/bench/bench_$name" "$@"
