# What every verb of ./dev shares: steps that say what they do, how long they took, and how to mend a failure.
# Sourced by tools/dev/verbs/*.sh, with the project's folder as working directory.
set -euo pipefail

logs=.cache/logs
mkdir -p "$logs"

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }'; }

# step NAME MEND COMMAND...: runs COMMAND with its output in a log. A terminal sees the last line as it goes.
# A failure shows the end of the log and MEND, and ends the program with COMMAND's exit code.
step() {
  local name=$1 mend=$2 began=$EPOCHREALTIME code=0 log
  shift 2
  log=$logs/${name//[^a-zA-Z0-9]/-}.log
  echo "==> $name"
  if [ -t 1 ]; then
    "$@" </dev/null 2>&1 | tee "$log" | show_last_line || code=$?
  else
    "$@" </dev/null >"$log" 2>&1 || code=$?
  fi
  if [ "$code" -ne 0 ]; then
    tail -n 40 "$log" >&2
    { echo; echo "./dev: step '$name' failed (exit code $code). Whole log: $log"; echo "To mend it: $mend"; } >&2
    exit "$code"
  fi
  echo "    done in $(seconds_since "$began")"
}

show_last_line() {
  local line
  while IFS= read -r line; do printf '\r\033[K    %.110s' "$line"; done
  printf '\r\033[K'
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# The packages of a list that are wanted here and not installed yet.
missing_packages() {
  local name rule command
  while read -r name rule command _; do
    case $name in '' | '#'*) continue ;; esac
    # Apt's own copy is kept up to date; one that came from elsewhere (a version manager) is left in charge.
    if [ "$rule" = unless ] && command -v "$command" >/dev/null; then continue; fi
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then echo "$name"; fi
  done <"$1"
}

apt_install() {
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

require_debian() {
  if ! command -v apt-get >/dev/null || ! grep -q '^VERSION_ID="12"' /etc/os-release; then
    echo "./dev: this is not Debian 12; its packages are what the build is tested with." >&2
    echo "To mend it: run in a Debian 12 machine or container, or install tools/packages/*.txt by hand" \
      "and set QW_SKIP_PACKAGES=1." >&2
    exit 1
  fi
}

# setup LIST...: installs packages and native libraries. Does nothing, in well under a second, when all is there.
setup() {
  local list missing
  if [ -z "${QW_SKIP_PACKAGES:-}" ]; then
    require_debian
    for list in "$@"; do
      mapfile -t missing < <(missing_packages "tools/packages/$list.txt")
      if [ ${#missing[@]} -gt 0 ]; then
        step "packages for the $list: ${#missing[@]} missing" \
          "run as root or with sudo, see that the machine reaches its Debian mirror, and try again" \
          apt_install "${missing[@]}"
      fi
    done
  fi
  step "native libraries" "see that this machine's package clients (pip, npm, apt) reach their registries" \
    python3 tools/dev/fetch_native.py
}

# configure FOLDER [CMAKE OPTIONS...]
configure() {
  local folder=$1
  shift
  step "configure $folder" "if the message above names a missing package: ./dev setup; otherwise remove $folder" \
    cmake -S . -B "$folder" -G Ninja "$@"
}

# compile FOLDER [TARGETS...]
compile() {
  local folder=$1
  shift
  step "build $folder" "mend the first error above; ninja -C $folder shows it again" ninja -C "$folder" "$@"
}
