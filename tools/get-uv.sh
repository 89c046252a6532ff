#!/bin/sh
# Puts the pinned uv at .tools/bin/uv with nothing but a Python >= 3.11; says what is missing otherwise.
# uv comes as a wheel through pip, so whatever mirror this host's pip uses is used here too.
set -eu
UV_VERSION="${UV_VERSION:-0.13.9}"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
cd "$(dirname "$0")/.."

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python="" found=""
for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if is_new_enough "$candidate"; then python="$candidate"; break; fi
    found="$found $("$candidate" --version 2>&1 || echo "$candidate (broken)")"
done
if [ -z "$python" ]; then
    echo "edgeweir needs Python 3.11 or newer; found:${found:- none}" >&2
    exit 3
fi

# With --target pip leaves a system Python alone, even one that its distribution guards.
if "$python" -c 'import ensurepip' >/dev/null 2>&1 && "$python" -m venv .tools >/dev/null 2>&1; then
    .tools/bin/python -m pip install --quiet "uv==$UV_VERSION"
elif "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m pip install --quiet --upgrade --target .tools "uv==$UV_VERSION"
else
    echo "This Python has neither venv nor pip: apt-get install python3-venv, or put uv on PATH" >&2
    exit 3
fi
