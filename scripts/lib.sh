# What the scripts share. Source it from the checkout's scripts/ folder.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export DEBIAN_FRONTEND=noninteractive
build_dir=build/release
sanitized_dir=build/asan  # unit and simulation tests only

say() { printf '\033[1m== %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo --preserve-env=DEBIAN_FRONTEND "$@"
  else die "packages are missing and neither root nor sudo is available to install them"
  fi
}

# Parallel compilations: one per processor, but 1.5 GB of memory for each.
jobs() {
  local by_memory
  by_memory=$(awk '/^MemAvailable/ { print int($2 / 1572864) }' /proc/meminfo)
  local count
  count=$(nproc)
  if [ "${by_memory:-1}" -lt "$count" ]; then count=$by_memory; fi
  if [ "$count" -lt 1 ]; then count=1; fi
  echo "$count"
}

# logged WHAT COMMAND...: runs it with the output in a log file; shows the log's end if it fails.
logged() {
  local what=$1 log
  shift
  mkdir -p build
  log=build/$(tr -c 'a-z0-9\n' '-' <<<"${what,,}").log
  say "$what"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    die "$what failed (whole log: $log)"
  fi
}
