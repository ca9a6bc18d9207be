#!/usr/bin/env bash
# A real Redis for tests: redis.sh install | start RUN_FOLDER PORT | stop RUN_FOLDER. Keeps nothing on disk.
. "$(dirname "$0")/lib.sh"
install() { need_program redis-server; }
start() {
  mkdir -p "$1"
  launch "$1" redis-server --port "$2" --bind 127.0.0.1 --save '' --appendonly no --dir "$1"
  wait_until "$1" 20 redis-cli -p "$2" ping
}
stop() { stop_engine "$1"; }
"$@"
