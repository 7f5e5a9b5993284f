#!/bin/bash
# Makes `.venv` with the three programs and the development tools, exactly as `requirements.lock` pins them.
#
#   hack/setup.sh [PROGRAM=PACKAGE ...]
#
# Quick when nothing changed. Whatever of the distribution is missing (a Python with venv, or a PROGRAM that
# the caller names) is installed with apt-get, by sudo when not root, and said aloud first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OLDEST='(3, 11)'

say() { echo "setup: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

main() {
    local each
    python=$(find_python)
    inputs=$(digest)
    if [ "$(cat .venv/.built-from 2>/dev/null)" != "$inputs" ]; then
        make_environment
    fi
    for each in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${each%%=*}" >/dev/null || install_packages "${each#*=}"
    done
}

# Prints a Python that is new enough and can make environments, installing one when there is none.
find_python() {
    local found
    if ! found=$(usable_python); then
        if [ -n "$(newest_python)" ]; then
            install_packages python3-venv
        elif [ -n "$(newest_python '(3, 0)')" ]; then
            too_old
        else
            install_packages python3-venv
        fi
        found=$(usable_python) || too_old
    fi
    echo "$found"
}

too_old() {
    fail "qarax needs Python 3.11 or newer and found $(python3 --version 2>/dev/null || echo none). Install a" \
        "newer one (Debian 12 and later have it) and name it: PYTHON=/path/to/python3.11 make setup"
}

usable_python() {
    local candidate
    candidate=$(newest_python)
    [ -n "$candidate" ] && "$candidate" -c 'import ensurepip, venv' 2>/dev/null && echo "$candidate"
}

newest_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < ${1:-$OLDEST})" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

install_packages() {
    local sudo=()
    command -v apt-get >/dev/null || fail "missing: $*. This machine has no apt-get: install it with its own tools."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "missing: $*, and no sudo here. As root: apt-get install $*"
        sudo=(sudo)
    fi
    say "missing: $*. Running: ${sudo[*]} apt-get install -y --no-install-recommends $*"
    apt_install() {
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "$@" >&2
    }
    if ! apt_install "$@" 2>/dev/null; then
        "${sudo[@]}" apt-get update -q >&2 || true
        apt_install "$@" || fail "apt-get could not install $*. Is there a network, and a source in /etc/apt?" \
            "Once there is: sudo apt-get install $*"
    fi
}

# What the environment is made from, and where it is: a moved clone is set up again.
digest() {
    { cat requirements.lock pyproject.toml hack/build_hook.py proto/qarax_proto/*.proto && "$python" -V && pwd; } |
        sha256sum | cut -d' ' -f1
}

make_environment() {
    say "making .venv with $("$python" -V) (once; some minutes with a slow network)"
    "$python" -m venv .venv || fail "the virtual environment .venv could not be made here; see the lines above"
    pip() { .venv/bin/python -m pip --disable-pip-version-check -q "$@"; }
    pip install --require-hashes --no-deps -r requirements.lock || fail "pip could not install what" \
        "requirements.lock names. Is the package index reachable? (pip config list shows which one is used)"
    pip install --no-deps --no-build-isolation -e . || fail "the project itself could not be installed; see above"
    .venv/bin/python hack/build_hook.py
    echo "$inputs" >.venv/.built-from
}

main "$@"
