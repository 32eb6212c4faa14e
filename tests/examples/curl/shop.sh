#!/bin/sh
# A shop's tests with curl alone: EPAY_URL=http://127.0.0.1:8080 sh shop.sh
set -eu

EPAY_URL=${EPAY_URL:-http://127.0.0.1:8080}
number=0

control() { # METHOD PATH [JSON]: say something to the sandbox
  curl -sS --fail-with-body -m 30 -X "$1" "$EPAY_URL/_control$2" -H "Content-Type: application/json" -d "${3:-}"
}

field() { # NAME JSON: the first field of that name
  printf '%s\n' "$2" | grep -o "\"$1\": *[^,}]*" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'
}

check() { # WHAT EXPECTED FOUND: say that something holds, or end here
  number=$((number + 1))
  [ "$2" = "$3" ] || { echo "not ok $number - $1: it is \"$3\", not \"$2\""; exit 1; }
  echo "ok $number - $1"
}

# A merchant of this run's own, so that nothing else is in its way.
merchant=$(control POST /merchants '{"name": "Tea"}')
client_id=$(field client_id "$merchant")
world=/merchants/$client_id
trap 'control DELETE "$world"' EXIT

token() { # [-d FIELD=VALUE]…: ask the bank for a token, as the shop's server does
  curl -sS --fail-with-body -m 30 "$(field token "$merchant")" \
    -d grant_type=client_credentials -d scope=payment -d "client_id=$client_id" \
    --data-urlencode "client_secret=$(field client_secret "$merchant")" \
    -d "terminal=$(field terminal "$merchant")" "$@"
}

# A paid order; the bank says so when it is asked. Its postlink is held, for here is no shop that could take it.
token -d invoiceID=000000001 -d amount=2500 -d currency=KZT -d postLink=https://shop.example/postlink >/dev/null
control POST "$world/script" '{"decisions": [{"plan": "on_release"}]}' >/dev/null
paid=$(control POST "$world/payments" '{"invoice_id": "000000001"}')
check "a payment with the usual card goes through" CHARGE "$(field status "$paid")"
check "the amount is the token's" 2500 "$(field amount "$paid")"

postlink=$(control GET "$world/postlinks/latest")
check "the postlink is held" held "$(field state "$postlink")"
check "the postlink goes where the token says" https://shop.example/postlink "$(field url "$postlink")"

bearer=$(field access_token "$(token)")
status=$(curl -sS -m 30 "$EPAY_URL/check-status/payment/transaction/000000001" -H "Authorization: Bearer $bearer")
check "the bank says that it is paid" CHARGE "$(field statusName "$status")"

# The next payment is declined, whatever its card.
control POST "$world/script" '{"decisions": [{"reason_code": 484}]}' >/dev/null
declined=$(control POST "$world/payments" '{"invoice_id": "000000002"}')
check "the next payment is declined" 484 "$(field reason_code "$declined")"
event=$(control GET "$world/wait?until=transaction.declined")
check "the sandbox tells of it" 000000002 "$(field invoice_id "$event")"

# A page that nobody pays on closes when its time is over. Nothing waits for that: the clock is put forward.
clock=$(control PUT "$world/clock" '{"advance_s": 1200}')
check "the page is closed after twenty minutes" closed "$(field result "$clock")"

echo "1..$number"
