# Shared by the scripts beside it: where things are, how to say something. Sourced by bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
livekit_version=v1.13.5
livekit=$tools/bin/server

say() { printf '\n== %s\n' "$*"; }

have() { command -v "$1" >/dev/null 2>&1; }

in_ci() { [ -n "${CI:-}" ]; }

# Something a suite needs is not here: a failure in CI, a loud notice elsewhere.
lack() {
  printf '%s\n' "$*" >>"${LACK_FILE:-/dev/null}"
  printf '\n*** MISSING: %s ***\n' "$*" >&2
  if in_ci; then exit 1; fi
}

can_apt() { [ "$(id -u)" = 0 ] && have apt-get; }

apt_updated=
apt_update() {
  if [ -n "$apt_updated" ] || ! can_apt; then return 0; fi
  apt-get update -qq
  apt_updated=yes
}

apt_install() {
  apt_update
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
