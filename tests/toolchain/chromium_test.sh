#!/usr/bin/env bash
# Aim: the real Chromium runs a page without a screen.
# Method: a page whose script writes 6 * 7 is rendered and read back.
set -euo pipefail
if [ -z "${QUICKWATER_CHROMIUM:-}" ]; then echo "QUICKWATER_CHROMIUM is not set: no chromium found"; exit 77; fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
page='data:text/html,<p id=a></p><script>document.getElementById("a").textContent=6*7</script>'
html=$("$QUICKWATER_CHROMIUM" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
  --user-data-dir="$profile" --dump-dom "$page" 2>"$profile/log") || { cat "$profile/log"; exit 1; }
case $html in
  *'>42<'*) echo "chromium rendered 42" ;;
  *) cat "$profile/log"; echo "unexpected page: $html"; exit 1 ;;
esac
