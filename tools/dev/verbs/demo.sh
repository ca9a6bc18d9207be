#!/usr/bin/env bash
# ./dev demo [--port N] [--fresh] [--data DIR]: builds the program and runs examples/anomaly on this machine's own
# metrics; with --data it replays a labelled folder instead. What it learns lies in the ignored folder .cache/demo.
. tools/dev/lib.sh
port=8321 folder=.cache/demo data='' fresh=''
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=${2:?"--port needs a number"}; shift ;;
    --folder) folder=${2:?"--folder needs a path"}; shift ;;
    --data) data=${2:?"--data needs a folder"}; shift ;;
    --fresh) fresh=yes ;;
    *) echo "usage: ./dev demo [--port N] [--fresh] [--data DIR] [--folder DIR]" >&2; exit 2 ;;
  esac
  shift
done

setup demo
[ -f build/build.ninja ] || configure build # later changes of the build files are ninja's to see
compile build quickwater

app=examples/anomaly/app.yaml kept=$folder/data
if [ -n "$data" ]; then
  app=$folder/replay/app.yaml kept=$folder/replay/data
  fresh=yes # a replay tells its story from the beginning
fi
if [ -n "$fresh" ]; then rm -rf "$kept"; fi
mkdir -p "$folder"
if [ -n "$data" ]; then
  step "an application for $data" "name a folder in the layout of the Numenta Anomaly Benchmark" \
    python3 tools/dev/replay_app.py "$data" "$folder/replay"
fi
step "check $app" "mend the lines above" build/quickwater validate "$app"

# Another program may sit on the port; then any free one will do.
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  echo "    port $port is in use: taking a free one"
  port=0
fi
echo "==> run $app; the data is kept in $kept. Open the address below; Ctrl-C ends it."
if [ -z "$data" ]; then
  echo "    It learns for a minute, then: the page's button, or build/quickwater incident cpu --data $kept"
fi
exec build/quickwater run "$app" --data "$kept" --port "$port"
