#!/bin/bash
# The control plane on this machine, without the dashboard: prints the URLs and returns.
#
#   hack/run-local.sh [options of `qarax up`]     PostgreSQL, keeper, node and server as processes
#   hack/run-local.sh --docker                    the same as containers, by deployments/compose.yaml
#   hack/run-local.sh --cleanup [--state-dir D]   undoes either, VMs included
#
# For --docker, PORT chooses the REST port (8000), NODE_PORT the node's (50051), and COMPOSE the command
# (docker compose, docker-compose, podman compose).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FILE=deployments/compose.yaml
PORT=${PORT:-8000}
READY_SECONDS=300

fail() {
    echo "run-local: $*" >&2
    exit 1
}

compose_command() {
    if [ -n "${COMPOSE:-}" ]; then
        echo "$COMPOSE"
    elif docker compose version >/dev/null 2>&1; then
        echo docker compose
    elif command -v docker-compose >/dev/null; then
        echo docker-compose
    elif podman compose version >/dev/null 2>&1; then
        echo podman compose
    else
        return 1
    fi
}

compose() { PORT=$PORT NODE_PORT=${NODE_PORT:-50051} $command -p qarax -f "$FILE" "$@"; }

up_in_containers() {
    command=$(compose_command) || fail "no docker compose here. Install one (apt-get install docker.io" \
        "docker-compose), or run hack/run-local.sh without --docker."
    compose up --build --detach || fail "the containers did not start; see the lines above"
    for _ in $(seq "$READY_SECONDS"); do
        if ready; then
            echo "qarax is up in containers"
            echo "  API        http://127.0.0.1:$PORT"
            echo "  Swagger    http://127.0.0.1:$PORT/swagger-ui"
            echo "  dashboard  qarax --server http://127.0.0.1:$PORT"
            echo "  stop       hack/run-local.sh --cleanup"
            return
        fi
        sleep 1
    done
    compose ps
    fail "the server is not ready after $READY_SECONDS s; its log: $command -p qarax -f $FILE logs server"
}

# Ready, asked from inside: this machine may have no curl.
ready() {
    local ask="import urllib.request; urllib.request.urlopen('http://127.0.0.1:$PORT/readyz')"
    compose exec -T server python3 -c "$ask" >/dev/null 2>&1
}

clean_up() {
    if [ -x .venv/bin/qarax ]; then .venv/bin/qarax down --vms "$@"; fi
    if command=$(compose_command) && [ -n "$(compose ps -q 2>/dev/null)" ]; then
        compose down --volumes --remove-orphans
    fi
}

case ${1:-} in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
    --docker) up_in_containers ;;
    --cleanup) shift && clean_up "$@" ;;
    *) hack/setup.sh && .venv/bin/qarax up "$@" ;;
esac
