#!/usr/bin/env bash
# Builds docker/Dockerfile.cpu and proves the image: user, read-only root, equal answers, SIGTERM, kills, two replicas.
#
#   docker/check.sh [REPOSITORY]      default: model_repository, as `make demo` writes it
#
# Needs Docker with BuildKit, docker compose, and `make setup`. Environment: IMAGE (its tag), BUILD_ARGS (more words for
# `docker build`, such as --build-arg BASE=... --secret id=pip,src=...), NO_BUILD=1 (take the image as it is).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export DOCKER_BUILDKIT=1
export IMAGE=${IMAGE:-ernie-triton}
MODELS=$(realpath "${1:-model_repository}")
export MODELS
PY=.venv/bin/python
NAME=ernie-triton-check-$$
export COMPOSE_PROJECT_NAME=$NAME
WAIT=600 # seconds until a server must be ready

say() { printf '%-10s %s\n' "$1" "$2"; }
die() { printf 'docker/check.sh: %s\n' "$*" >&2; exit 1; }

[ -x "$PY" ] || die "there is no $PY: run make setup"
[ -n "$(find "$MODELS" -mindepth 2 -maxdepth 2 -name config.pbtxt -print -quit)" ] ||
    die "$MODELS holds no models: run make demo, or name a repository"
docker version >/dev/null || die "no Docker engine answers: start one, or set DOCKER_HOST"
if docker compose version >/dev/null 2>&1; then COMPOSE=(docker compose); else COMPOSE=(docker-compose); fi
COMPOSE+=(-f docker/compose.yaml)

REFERENCE=
clean() {
    docker rm --force --volumes "$NAME" >/dev/null 2>&1 || true
    "${COMPOSE[@]}" down --volumes >/dev/null 2>&1 || true
    [ -z "$REFERENCE" ] || .venv/bin/ernie-triton stop --http-port "$REFERENCE" >/dev/null || true
}
trap clean EXIT

free_port() { "$PY" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
seconds_since() { "$PY" -c "import time; print(f'{time.time() - $1:.1f} s')"; }
health() { docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$1"; }
address() { docker port "$NAME" "$1/tcp" | head -n 1; }

# wait_ready CONTAINER: until the health check of the image (the readiness port) says that every task answers.
wait_ready() {
    for ((i = 0; i < WAIT * 2; i++)); do
        case $(health "$1") in
        'running healthy') return ;;
        exited*) docker logs "$1" >&2; die "$1 ended" ;;
        esac
        sleep 0.5
    done
    docker logs "$1" >&2
    die "$1 was not ready after $WAIT s: $(health "$1")"
}

# wait_answers CONTAINER: the same by asking the readiness port each half second.
wait_answers() {
    local code="import http.client as h; c = h.HTTPConnection('127.0.0.1', 8003, timeout=5); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"
    for ((i = 0; i < WAIT * 2; i++)); do
        docker exec "$1" python3 -c "$code" >/dev/null 2>&1 && return
        sleep 0.5
    done
    docker logs "$1" >&2
    die "$1 does not answer"
}

if [ -z "${NO_BUILD:-}" ]; then
    began=$(date +%s.%N)
    # shellcheck disable=SC2086 # words
    docker build --quiet ${BUILD_ARGS:-} --tag "$IMAGE" --file docker/Dockerfile.cpu . >/dev/null
    say build "$(seconds_since "$began")"
fi
say image "$(docker image inspect --format '{{.Size}}' "$IMAGE" | awk '{ printf "%.0f MB", $1 / 1e6 }'), \
$(docker run --rm "$IMAGE" --version)"

began=$(date +%s.%N)
docker run --detach --name "$NAME" --restart unless-stopped --read-only --cap-drop ALL \
    --security-opt no-new-privileges:true --shm-size 1g --volume "$MODELS:/models:ro" \
    --publish 127.0.0.1::8000 --publish 127.0.0.1::8001 "$IMAGE" >/dev/null
wait_answers "$NAME"
say start "all tasks answer after $(seconds_since "$began")"
wait_ready "$NAME"
say health "Docker's health check: $(health "$NAME")"
user=$(docker exec "$NAME" id -u)
[ "$user" -ne 0 ] || die "the server runs as root"
docker exec "$NAME" touch /file 2>/dev/null && die "the root of the container can be written"
[ "$(docker inspect --format '{{.HostConfig.CapDrop}}' "$NAME")" = '[ALL]' ] || die "it has capabilities"
say rights "user $user, read-only root, no capabilities"
say memory "$(docker stats --no-stream --format '{{.MemUsage}}' "$NAME"), \
$(docker exec "$NAME" df --output=used -m /dev/shm | tail -n 1 | tr -d ' ') MB of /dev/shm"

REFERENCE=$(free_port)
grpc=$(free_port)
.venv/bin/ernie-triton serve --repository "$MODELS" --http-port "$REFERENCE" --grpc-port "$grpc" --metrics-port 0 \
    --timeout "$WAIT" --detach >/dev/null
result=$("$PY" docker/check.py answers "127.0.0.1:$grpc" "$(address 8001)") # a failure ends the script here, not inside of `say`
say answers "$result"
.venv/bin/ernie-triton stop --http-port "$REFERENCE" >/dev/null
REFERENCE=

# The server ends: the command starts it again. The command ends: Docker starts the container again.
restarts() { docker inspect --format '{{.RestartCount}}' "$NAME"; }
# By the file that runs: the command lines of its guard and of a shell that looks for it have the name in them, too.
server=$(docker exec "$NAME" sh -c \
    'for d in /proc/[0-9]*; do case $(readlink $d/exe) in */bin/tritonserver) echo ${d#/proc/} ;; esac; done')
docker exec "$NAME" sh -c "kill -KILL $server"
began=$(date +%s.%N)
sleep 0.5
wait_answers "$NAME"
[ "$(restarts)" -eq 0 ] || die "the command ended with tritonserver"
say kill "tritonserver: every task answers again after $(seconds_since "$began")"
docker exec "$NAME" sh -c 'kill -KILL $(cat /proc/1/task/1/children)' || true
began=$(date +%s.%N)
sleep 0.5
wait_answers "$NAME"
[ "$(restarts)" -eq 1 ] || die "Docker started the container $(restarts) times again, not once"
say kill "the command: every task answers again after $(seconds_since "$began"), restarts: $(restarts)"

result=$("$PY" docker/check.py drain "$(address 8001)" "$NAME")
say SIGTERM "$result"
code=$(docker inspect --format '{{.State.ExitCode}}' "$NAME")
[ "$code" -eq 0 ] || die "the container ended with $code"
docker rm --volumes "$NAME" >/dev/null

PORT=$(free_port)
export PORT
began=$(date +%s.%N)
"${COMPOSE[@]}" up --detach >/dev/null 2>&1
replica() { "${COMPOSE[@]}" ps --quiet "$1"; }
for service in server-a server-b gateway; do wait_ready "$(replica "$service")"; done
say compose "two servers and the gateway are healthy after $(seconds_since "$began")"

# TASK and EXAMPLE: of any task of one text.
read -r TASK EXAMPLE < <("$PY" - "$PORT" <<'PY'
import json, sys, urllib.request

with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/v1/tasks") as reply:
    tasks = json.load(reply)["tasks"]
task = next(task for task in tasks if len(task["inputs"]) == 1)
example = task["examples"][0]
print(task["name"], example if isinstance(example, str) else example[0])
PY
)
answered() {
    docker exec "$(replica "$1")" python3 -c "
import urllib.request
lines = urllib.request.urlopen('http://127.0.0.1:8002/metrics').read().decode().splitlines()
print(int(sum(float(l.split()[-1]) for l in lines if l.startswith('nv_inference_request_success{model=\"$TASK\"'))))"
}
through() { "$PY" docker/check.py gateway "$PORT" "$TASK" "$EXAMPLE" "$@"; }
result=$(through true)
say gateway "$result; server-a $(answered server-a), server-b $(answered server-b) requests"
result=$(through docker restart --time 40 "$(replica server-a)")
say rolling "server-a restarted meanwhile: $result"
wait_ready "$(replica server-a)"
result=$(through docker kill "$(replica server-b)")
say crash "server-b killed meanwhile: $result"
say passed "docker/check.sh"
