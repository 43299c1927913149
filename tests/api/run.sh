#!/usr/bin/env bash
# Schemathesis against the program: what its own OpenAPI document promises is asked for, and what it forbids is sent.
#
# EXAMPLES (6) inputs per operation; `make schemathesis` tries many more. LIVESTREAM_BIN names the program
# (default: the debug build). Event streams never end and are left to other tests.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
binary=${LIVESTREAM_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/livestream}
schemathesis=$root/.tools/schemathesis/bin/schemathesis
folder=$(mktemp -d)
server=

clean_up() {
  [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts the program with the settings given, and waits until it answers.
start() {
  port=$(free_port)
  mkdir -p "$folder/$port"
  (cd "$folder/$port" && exec env -i PATH="$PATH" PORT="$port" MEDIA_PORT="$(free_port)" MEDIA_UDP_PORT="$(free_port)" \
    RATE_LIMIT=off LOG_LEVEL=warn LOG_FORMAT=json "$@" "$binary") >>"$folder/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && return
    sleep 0.1
  done
  echo "the program did not start:" >&2
  cat "$folder/log" >&2
  exit 1
}

# A program of its own, then what Schemathesis says of it.
check() {
  local heading=$1
  shift
  printf '\n== %s\n' "$heading"
  # It leaves a folder where it runs.
  cd "$folder" || exit 1
  "$schemathesis" run "$root/crates/server/openapi.json" --url "http://127.0.0.1:$port" \
    --exclude-path-regex '^/sse/' --max-examples "${EXAMPLES:-6}" --seed "${SEED:-1}" --phases examples,coverage,fuzzing \
    --checks all --exclude-checks "$not_ours" --suppress-health-check all --generation-database none \
    --request-timeout 10 --output-truncate false --no-color "$@"
  local failed=$?
  if grep -q '"code":"internal"\|panicked' "$folder/log"; then
    echo "something went wrong inside:" >&2
    grep '"code":"internal"\|panicked' "$folder/log" | head >&2
    failed=1
  fi
  kill "$server" && wait "$server" 2>/dev/null
  server=
  return $failed
}

# Not checked: that everything the document allows is taken (it can't say all that is refused: control characters in texts, a
# cursor of another page), and that what was deleted is gone (an ended stream is still shown for a while).
not_ours=positive_data_acceptance,use_after_free

failed=0
start
check "where nobody asks for keys" || failed=1
key=schemathesis
start API_KEYS="tester:admin:$(printf %s "$key" | sha256sum | cut -d' ' -f1)"
check "with a key" -H "Authorization: Bearer $key" || failed=1
exit $failed
