#!/usr/bin/env bash
# Runs LiveKit's own clients, unmodified, against a media server, and says which of them work.
#
#   tests/clients/run.sh                      builds the embedded server, starts it, tests it
#   tests/clients/run.sh ws://127.0.0.1:7880  tests a server that runs already
#
# LIVEKIT_API_KEY and LIVEKIT_API_SECRET say which key; WEBHOOK_PORT is the port on 127.0.0.1 to which that
# server posts its webhooks (without it they are not checked); ONLY="node browser python go" selects clients;
# MEDIA_BIN names an embedded server that is built already.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export LIVEKIT_API_KEY=${LIVEKIT_API_KEY:-devkey}
export LIVEKIT_API_SECRET=${LIVEKIT_API_SECRET:-secretsecretsecretsecretsecretsecret}
only=${ONLY:-node browser python go}
server=

stop_server() { [ -n "$server" ] && kill "$server" 2>/dev/null; }
trap stop_server EXIT

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_embedded() {
  if [ -z "${MEDIA_BIN:-}" ]; then
    (cd "$root" && cargo build -q -p media-server --example media) || exit 1
    MEDIA_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/examples/media
  fi
  export MEDIA_BIN
  case $MEDIA_BIN in /*) ;; *) MEDIA_BIN=$root/$MEDIA_BIN ;; esac
  local http udp
  http=$(free_port) udp=$(free_port) WEBHOOK_PORT=$(free_port)
  export WEBHOOK_PORT LIVEKIT_URL=ws://127.0.0.1:$http
  MEDIA_LISTEN=127.0.0.1:$http MEDIA_UDP=127.0.0.1:$udp MEDIA_WEBHOOKS=http://127.0.0.1:$WEBHOOK_PORT/ \
    RUST_LOG=${RUST_LOG:-error} "$MEDIA_BIN" &
  server=$!
  for _ in $(seq 100); do
    curl -sf "http://127.0.0.1:$http/" >/dev/null && return
    sleep 0.1
  done
  echo "the embedded server did not start" >&2
  exit 1
}

version_of() { node -p "require('$here/browser/node_modules/$1/package.json').version" 2>/dev/null; }

results=()
failed=0
# Runs one client's tests: name, version, then the command.
client() {
  local name=$1 version=$2
  shift 2
  printf '\n== %s %s\n' "$name" "$version"
  if "$@"; then
    results+=("$name|$version|works")
  else
    results+=("$name|$version|FAILED")
    failed=1
  fi
}

in_folder() { (cd "$here/$1" && shift && "$@"); }
wanted() { [[ " $only " == *" $1 "* ]]; }

case "$only" in *node* | *browser*) "$root/scripts/setup" clients || exit 1 ;; esac
wanted browser && { "$root/scripts/setup" chromium || exit 1; }
wanted python && { "$root/scripts/setup" python || exit 1; }
if [ $# -gt 0 ]; then export LIVEKIT_URL=$1; else start_embedded; fi

if wanted node; then
  client "livekit-server-sdk (Node)" "$(version_of livekit-server-sdk)" \
    in_folder browser node --test --test-reporter=spec server-sdk.test.mjs
fi
if wanted browser; then
  chromium=$("${CHROMIUM:-/usr/bin/chromium}" --version 2>/dev/null | cut -d' ' -f1,2)
  client "livekit-client in $chromium, v1 and v0" "$(version_of livekit-client)" \
    in_folder browser node --test --test-reporter=spec browser.test.mjs restart.test.mjs
fi
if wanted python; then
  python=$root/.tools/venv/bin/python
  version=$("$python" -m pip list 2>/dev/null | awk '$1 == "livekit" || $1 == "livekit-api" { printf "%s%s", s, $2; s = ", " }')
  client "livekit and livekit-api (Python), v1 and v0" "$version" in_folder python "$python" -m unittest -v test_clients
fi
if wanted go; then
  if command -v go >/dev/null; then
    version=$(awk '/livekit\/server-sdk-go\/v2 / { print $2 }' "$here/go/go.mod")
    client "server-sdk-go (pion), v1 and v0" "$version" in_folder go env GOTOOLCHAIN=local go test -count=1 ./...
  elif [ -n "${CI:-}" ]; then
    results+=("server-sdk-go (pion)||NOT RUN: go is missing") failed=1
  else
    results+=("server-sdk-go (pion)||SKIPPED: go is missing")
  fi
fi

printf '\n%-52s %-18s %s\n' "client" "version" "result"
for row in "${results[@]}"; do
  IFS='|' read -r name version result <<<"$row"
  printf '%-52s %-18s %s\n' "$name" "$version" "$result"
done
exit $failed
