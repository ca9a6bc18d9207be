# What the engine scripts share. Each is called as NAME.sh install | start RUN_FOLDER PORT | stop RUN_FOLDER:
# `start` returns once the engine answers and leaves its log, data and pid in RUN_FOLDER; `stop` ends that pid alone.
# A start that fails shows the end of the log. Engines listen on 127.0.0.1.
set -euo pipefail

need_program() {
  command -v "$1" >/dev/null || { echo "no program '$1': ./dev setup test installs it" >&2; exit 1; }
}

# launch RUN_FOLDER COMMAND...: starts COMMAND in the background, in a session of its own, so that a Ctrl-C at the
# terminal reaches the test run first, which then stops its engines in order.
launch() {
  local run=$1
  shift
  setsid "$@" >"$run/log" 2>&1 </dev/null &
  echo $! >"$run/pid"
}

# wait_until RUN_FOLDER SECONDS COMMAND...: until COMMAND succeeds; fails when the engine has ended or time is up.
wait_until() {
  local run=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$(cat "$run/pid")" 2>/dev/null; then give_up "$run" "it ended while starting"; fi
    if [ "$SECONDS" -ge "$deadline" ]; then give_up "$run" "it did not answer in time"; fi
    sleep 0.1
  done
}

give_up() {
  tail -n 20 "$1/log" >&2
  echo "$(basename "$0" .sh): $2; its log is $1/log" >&2
  stop_engine "$1" || :
  exit 1
}

# Asks politely, then, after ten seconds, no longer (a broker without its quorum ignores the request).
stop_engine() {
  local pid deadline=$((SECONDS + 10))
  [ -f "$1/pid" ] || return 0
  pid=$(cat "$1/pid")
  rm -f "$1/pid"
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then kill -9 "$pid" 2>/dev/null || :; return 0; fi
    sleep 0.1
  done
}
