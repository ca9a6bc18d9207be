#!/usr/bin/env bash
# A real Alertmanager for tests: alertmanager.sh install | start RUN_FOLDER PORT | stop RUN_FOLDER
# Sends to nobody unless RUN_FOLDER already holds an alertmanager.yml. Alone: no cluster port is opened.
. "$(dirname "$0")/lib.sh"
program=prometheus-alertmanager
install() { need_program "$program"; }
start() {
  mkdir -p "$1"
  [ -f "$1/alertmanager.yml" ] || printf 'route: {receiver: none}\nreceivers: [{name: none}]\n' >"$1/alertmanager.yml"
  launch "$1" "$program" --config.file="$1/alertmanager.yml" --storage.path="$1/data" \
    --web.listen-address="127.0.0.1:$2" --cluster.listen-address=
  wait_until "$1" 30 curl -sf -m 2 "http://127.0.0.1:$2/-/ready"
}
stop() { stop_engine "$1"; }
"$@"
