#!/usr/bin/env bash
# A real Prometheus for tests: prometheus.sh install | start RUN_FOLDER PORT | stop RUN_FOLDER
# Scrapes nothing unless RUN_FOLDER already holds a prometheus.yml; reads it again on POST /-/reload.
. "$(dirname "$0")/lib.sh"
install() { need_program prometheus; need_program promtool; }
start() {
  mkdir -p "$1"
  [ -f "$1/prometheus.yml" ] || echo 'global: {scrape_interval: 1s}' >"$1/prometheus.yml"
  launch "$1" prometheus --config.file="$1/prometheus.yml" --storage.tsdb.path="$1/data" \
    --web.listen-address="127.0.0.1:$2" --web.enable-lifecycle
  wait_until "$1" 30 curl -sf -m 2 "http://127.0.0.1:$2/-/ready"
}
stop() { stop_engine "$1"; }
"$@"
