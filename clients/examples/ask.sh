#!/bin/sh
# sh ask.sh TASK TEXT: asks a task through the gateway with curl and jq.
# ERNIE_TRITON_GATEWAY: its address, http://127.0.0.1:8080 where it is not set.
jq --null-input --arg text "$2" '{inputs: [$text]}' |
    curl --silent --show-error --fail-with-body --json @- "${ERNIE_TRITON_GATEWAY:-http://127.0.0.1:8080}/v1/tasks/$1" |
    jq --compact-output '.answers[]'
