#!/bin/bash
# What `make check` checks. Goes through all of it, then says what failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=.venv/bin
failed=()

check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok      $name"
    else
        echo "FAILED  $name"
        failed+=("$name")
    fi
}

quietly() {
    local output
    output=$("$@" 2>&1) || {
        echo "$output"
        return 1
    }
}

ours() { git ls-files -z --cached --others --exclude-standard; }

# No package index, no private folder of whoever built this, nothing left to do.
no_match() {
    local found
    found=$(ours | xargs -0 grep -InE "$1" --exclude=check.sh --exclude=LICENSE -- 2>/dev/null)
    [ -z "$found" ] || {
        echo "$found"
        return 1
    }
}

openapi_is_current() {
    quietly diff -u openapi.yaml <("$bin/python" -m qarax_server.api.openapi)
}

shell_scripts_parse() {
    local script
    for script in hack/*.sh hack/guest-image/build.sh .ci/run; do bash -n "$script" || return 1; done
    for script in hack/guest-image/init hack/guest-image/rootfs/etc/qarax/*; do sh -n "$script" || return 1; done
}

check 'ruff check' "$bin/ruff" check -q
check 'ruff format' quietly "$bin/ruff" format --check
check 'mypy --strict' quietly "$bin/mypy"
check 'import directions' quietly "$bin/lint-imports"
check 'migrations and queries against PostgreSQL' quietly "$bin/pytest" tests/server -m sql
check 'proto' "$bin/python" hack/check_proto.py
check 'openapi.yaml is current (make openapi)' openapi_is_current
check 'shell scripts' shell_scripts_parse
check 'no index addresses' no_match 'pypi\.org|pythonhosted|--(extra-)?index-url[ =]|--find-links[ =]|artifactory'
check 'no private paths' no_match '(^|[^a-z.])/(root|home/[a-z]+|work)/[a-z]'
check 'nothing left to do' no_match '\b(TODO|FIXME|XXX)\b'

if [ ${#failed[@]} -gt 0 ]; then
    printf 'make check: %d failed: %s\n' "${#failed[@]}" "$(printf '%s; ' "${failed[@]}")"
    exit 1
fi
echo 'make check: all good'
