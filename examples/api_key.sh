#!/bin/sh
# Keep pets by script, with an API key and curl: list yours, register one, change it, remove it.
#
#     PAWPRINT_KEY=$(cat var/demo_api_key) sh examples/api_key.sh
#
# PAWPRINT_URL is the server, http://127.0.0.1:8000 unless set.  It needs a key with the scopes
# pets:read and pets:write, and curl 7.76 or newer; jq would be nicer than sed, but is not needed.
set -eu

url=${PAWPRINT_URL:-http://127.0.0.1:8000}
: "${PAWPRINT_KEY:?Set it to an API key; the demo of the server leaves one in var/demo_api_key.}"
headers=$(mktemp)
pet=
# What was registered is removed again, also when a step in between fails.
clean_up() {
  if [ -n "$pet" ]; then api DELETE "$pet" || true; fi
  rm -f "$headers"
}
trap clean_up EXIT

# api METHOD URL [OPTIONS OF CURL]: prints the body, keeps the headers; fails when the API says no.
api() {
  method=$1 address=$2
  shift 2
  # The key goes in by stdin, because the arguments of a command are shown to everybody by `ps`.
  printf 'header = "X-API-Key: %s"\n' "$PAWPRINT_KEY" |
    curl --config - --silent --show-error --fail-with-body --max-time 30 \
      --dump-header "$headers" --request "$method" "$@" "$address"
}

# header NAME: prints that header of the last answer; NAME in lower case.
header() {
  tr -d '\r' <"$headers" |
    awk -v name="$1:" 'tolower($1) == name { print substr($0, length($1) + 2) }'
}

json='Content-Type: application/json'

echo "Who am I?"
me=$(api GET "$url/api/v1/me/") || { echo "$me" >&2; exit 1; }
echo "$me"

echo "My pets, page by page:"
next=$(echo "$me" | sed 's/.*"pets_url":"\([^"]*\)".*/\1/')?page_size=100
while [ -n "$next" ]; do
  api GET "$next"
  echo
  # A cursor is opaque: follow the links, never build one.
  next=$(header link | sed -n 's/.*<\([^>]*\)>; rel="next".*/\1/p')
done

echo "Register one:"
api POST "$url/api/v1/pets/" --header "$json" --data '{"name": "Clementine", "species": "goat"}'
pet=$(header location)
echo
echo "It is at $pet"

echo "Change it:"
api PATCH "$pet" --header "$json" --data '{"color": "white", "tags": ["Shy"]}'
echo

echo "A species that does not exist is refused, and the body says why:"
api PATCH "$pet" --header "$json" --data '{"species": "unicorn"}' || echo " (curl's exit status: $?)"

echo "Remove it:"
api DELETE "$pet"
pet=
head -n 1 "$headers"
