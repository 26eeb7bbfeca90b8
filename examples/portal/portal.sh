#!/usr/bin/env bash
# A platform portal in curl: one change of traffic and one release, through the REST API.
#   bash examples/portal/portal.sh [URL]        default http://127.0.0.1:8080, where `sluice demo` listens
# SLUICE_TOKEN is a Kubernetes token, for a Sluice that runs with --auth token. SERVICE is another service than
# the demo's bookinfo/reviews; OLD and NEW are its versions. The script ends with the split that it found.
set -euo pipefail

url=${1:-http://127.0.0.1:8080}
service=${SERVICE:-bookinfo/reviews}
old=${OLD:-v1} new=${NEW:-v3}
api=$url/api/v1
answer=$(mktemp) headers=$(mktemp)
trap 'rm -f "$answer" "$headers"' EXIT

# call METHOD PATH [curl options]: the body goes to $answer, the headers to $headers. An answer that is not a success
# is a problem+json: its `code` is stable, `detail` is the sentence, `next` says what to do.
call() {
  local method=$1 path=$2 status
  shift 2
  local auth=()
  [ -n "${SLUICE_TOKEN-}" ] && auth=(-H "Authorization: Bearer $SLUICE_TOKEN")
  status=$(curl -sS -X "$method" "$api$path" -o "$answer" -D "$headers" -w '%{http_code}' \
    ${auth[@]+"${auth[@]}"} -H 'Content-Type: application/json' "$@")
  if [ "$status" -ge 300 ]; then
    jq -r '"\(.status) \(.code): \(.detail) \(.next // "")"' "$answer" >&2
    return 1
  fi
}
etag() { sed -n 's/^etag: *\(.*[^\r]\)\r*$/\1/Ip' "$headers"; }
say() { printf '\n== %s\n' "$*"; }

say "services that need attention come first"
call GET "/services?limit=5"
jq -r '.items[] | "\(.namespace)/\(.name)  \(.state)  revision \(.revision)"' "$answer"

say "$service"
call GET "/services/$service"
seen=$(etag)
before=$(jq '.revision' "$answer")
jq -r '"declared \(.declared // {} | tojson), observed \(.observed // {} | tojson), ETag '"$(printf %s "$seen" | tr -d '"')"'"' "$answer"

change=$(jq -n --arg old "$old" --arg new "$new" \
  '{weights: {($old): 90, ($new): 10}, reason: "example: 10% to the new version"}')
say "preview: nothing is written"
call POST "/services/$service/traffic/preview" -d "$change"
jq -r '.summary, (.checks[] | "  \(.severity)  \(.code): \(.text)"), "refused by: \(.refused_by // "nothing" | tojson)"' "$answer"

say "change: If-Match refuses it when the service has changed since, the key makes it safe to send again"
key=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || date +%s%N)
for attempt in first again; do
  call PUT "/services/$service/traffic" -H "If-Match: $seen" -H "Idempotency-Key: $key" -d "$change"
  jq -r --arg attempt "$attempt" '"\($attempt): revision \(.revision), audit entry \(.entry), after \(.after | tojson)"' "$answer"
done
entry=$(jq '.entry' "$answer")

say "the same ETag a second time is refused"
if call PUT "/services/$service/traffic" -H "If-Match: $seen" -d "$change"; then
  echo "the stale ETag was accepted" >&2
  exit 1
fi

say "accepted, written, seen: seen needs metrics that fit the new split"
for _ in $(seq 5); do
  call GET "/services/$service"
  jq -r '.progress | if . then "\(.state) after \(.seen_ms // .written_ms) ms" else "no progress is known" end' "$answer"
  [ "$(jq -r '.progress.state // ""' "$answer")" = seen ] && break
  sleep 2
done

say "audit entry $entry"
call GET "/audit/$entry"
jq -r '"\(.at)  \(.actor)  \(.action)  \(.result)  \(.before | tojson) -> \(.after | tojson)  (\(.reason))"' "$answer"

say "switch back to revision $before: needs no reason and no acknowledgement"
call POST "/services/$service/traffic/switch-back" -d "{\"revision\": $before}"
jq -r '"revision \(.revision): \(.after | tojson)"' "$answer"

spec=$(jq -n --arg ns "${service%%/*}" --arg name "${service#*/}" --arg old "$old" --arg new "$new" '{
  service: {namespace: $ns, name: $name}, strategy: "canary", stable: $old, candidate: {from: "adopt", version: $new},
  steps: [{kind: "weight", percent: 5}, {kind: "approval"}, {kind: "weight", percent: 100}]}')
say "release: plan"
call POST /releases/plan -d "$(jq -n --argjson spec "$spec" '{spec: $spec}')"
jq -r '"possible: \(.possible)", (.errors[] | "  \(.code): \(.text // .detail)"), (.checks[] | "  \(.severity)  \(.code): \(.text)"),
  (.steps[] | "  step \(.step + 1) changes \(.changes | join(", "))")' "$answer"

say "release: create and wait for its first pause"
call POST "/releases?wait=20" -d "$(jq -n --argjson spec "$spec" '{spec: $spec, reason: "example release"}')"
release=$(jq -r '.id' "$answer")
jq -r '"\(.id): \(.state), \(.percent)% on the new version, commands: \(.commands | join(", "))"' "$answer"

say "release: abort, which needs no reason"
call POST "/releases/$release/commands?wait=30" -d '{"command": "abort"}'
jq -r '"\(.id): \(.state)"' "$answer"
call GET "/releases/$release/timeline?limit=50"
jq -r '.items[] | select(.said | length > 0) | "  \(.at)  \(.by): \(.said | join("; "))"' "$answer"
