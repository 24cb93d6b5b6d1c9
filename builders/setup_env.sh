#!/usr/bin/env bash
# Makes .venv hold exactly what the lock files say, and the project itself (editable).
#
#   builders/setup_env.sh                         once the stamp in .venv fits, this takes no time
#   PYTHON=/path/to/python builders/setup_env.sh  with that interpreter
#
# Needs a CPython 3.10 to 3.12 with pip or venv; no root, no compiler. An interrupted run is completed by the next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

LOCKS=(requirements-setup.lock requirements.lock)
VIRTUALENV="virtualenv==20.35.4" # only where Python comes without ensurepip (Debian's python3 without python3-venv)
NEED_GB=5
PIP=(.venv/bin/python -m pip --disable-pip-version-check --no-input install)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

check_machine() {
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] ||
        die "this is $(uname -s) $(uname -m), the pip-installed Triton needs Linux on x86_64: use such a machine, or Docker (docker/)"
    local glibc free
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{ print $2 }') || true
    printf '2.35\n%s\n' "${glibc:-0}" | sort -C -V ||
        die "glibc is ${glibc:-not what this system uses}, the pip-installed Triton needs 2.35: use Ubuntu 22.04, Debian 12 or later, or Docker (docker/)"
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ -d .venv ] || [ "$free" -ge "$NEED_GB" ] ||
        die "$free GB are free here, set-up needs $NEED_GB: make room, or move the checkout to a larger disk"
}

# Prints "3.11 ok", "3.9 version" or "3.11 libpython" for an interpreter; fails where it does not run. The Triton
# Python backend runs models in a process linked to libpython3.x.so.1.0, which a static build of Python lacks.
inspect() {
    "$1" - 2>/dev/null <<'PY'
import ctypes, os, sys, sysconfig

version = "%d.%d" % sys.version_info[:2]
name = "libpython%s.so.1.0" % version


def loads(path):
    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True


folders = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(getattr(sys, "base_prefix", sys.prefix), "lib")]
if not (3, 10) <= sys.version_info[:2] <= (3, 12):
    print(version, "version")
elif any(loads(os.path.join(folder, name)) for folder in folders) or loads(name):
    print(version, "ok")
else:
    print(version, "libpython")
PY
}

# Sets PYTHON to $PYTHON, or to the first fitting interpreter.
choose_python() {
    local candidates=(python3 python3.11 python3.12 python3.10) found="" static="" candidate version verdict
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        read -r version verdict < <(inspect "$candidate") || continue
        found+="${found:+, }$candidate is $version"
        case $verdict in
            ok) PYTHON=$candidate && return ;;
            libpython) static=${static:-$version} ;;
        esac
    done
    [ -z "$static" ] ||
        die "Python $static lacks its shared library, which Triton needs: sudo apt-get install libpython$static (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install $static)"
    die "no Python 3.10, 3.11 or 3.12 (${found:-none runs}): sudo apt-get install python3 python3-venv, or PYTHON=/path/to/python make setup"
}

venv_works() { .venv/bin/python -m pip --version >/dev/null 2>&1; }

make_venv() {
    if [ -n "${PYTHON:-}" ] && [ -x .venv/bin/python ] && [ "$(inspect .venv/bin/python)" != "$(inspect "$PYTHON")" ]; then
        say "making .venv anew with $PYTHON"
        rm -rf .venv
    fi
    venv_works && return
    choose_python
    rm -rf .venv
    say "making .venv with $PYTHON ($("$PYTHON" -V 2>&1))"
    if "$PYTHON" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null; then
        "$PYTHON" -m venv .venv
    elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
        "$PYTHON" -m pip install --quiet --upgrade --target .cache/virtualenv "$VIRTUALENV"
        PYTHONPATH=.cache/virtualenv "$PYTHON" -m virtualenv --quiet .venv
    else
        die "$PYTHON has neither venv nor pip: sudo apt-get install python3-venv"
    fi
    venv_works || die ".venv has no working pip: sudo apt-get install python3-venv, then run this again"
}

# uv unpacks while it downloads, and compiles as pip does, unless UV_COMPILE_BYTECODE=0 says that Python shall compile
# each module when it is first imported. It reads none of pip's settings, so it is told the index; where it cannot
# install (a proxy that wants more than that), pip does.
install_lock() {
    local index cache
    index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}}
    cache=$(.venv/bin/uv cache dir 2>/dev/null) && mkdir -p "$cache" 2>/dev/null || true
    # .venv is made of links into the cache: a cache on another disk would be 2.4 GB more.
    if [ -z "${UV_CACHE_DIR:-}" ] && { [ ! -w "$cache" ] || [ "$(stat -c %d "$cache")" != "$(stat -c %d .)" ]; }; then
        export UV_CACHE_DIR="$PWD/.cache/uv-packages"
    fi
    env UV_NO_CONFIG=1 ${index:+UV_DEFAULT_INDEX="$index"} UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}" \
        UV_COMPILE_BYTECODE="${UV_COMPILE_BYTECODE:-1}" .venv/bin/uv pip install --python .venv/bin/python "$@" ||
        { say "uv could not install that, pip tries" && "${PIP[@]}" "$@"; }
}

install() {
    local partial
    # INSTALLER is written last: a package without one was interrupted, and would be taken for whole.
    for partial in .venv/lib/python3.*/site-packages/*.dist-info; do
        [ ! -d "$partial" ] || [ -f "$partial/INSTALLER" ] || rm -rf "$partial"
    done
    export TMPDIR="$PWD/.cache/tmp" # /tmp may be small
    mkdir -p "$TMPDIR"
    say "downloading and installing about 0.7 GB (2.4 GB on disk); later runs skip this"
    "${PIP[@]}" --require-hashes --no-deps -r requirements-setup.lock # with uv
    # --no-deps: the lock file is complete. --no-build-isolation: two packages have no wheel, and building them
    # must not fetch anything that is not pinned.
    install_lock --require-hashes --no-deps --no-build-isolation -r requirements.lock
    "${PIP[@]}" --quiet --no-deps --no-build-isolation --editable . --editable builders/assets_wheel
    .venv/bin/python -m ernie_serve.launchers >/dev/null # tritonserver and perf_analyzer work as typed
    rm -rf "$TMPDIR"
}

check_libgomp() {
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null ||
        die "libgomp.so.1 is missing, which Paddle needs: sudo apt-get install libgomp1"
}

stamp() { { pwd; cat "${LOCKS[@]}" pyproject.toml setup.py builders/assets_wheel/*.* builders/setup_env.sh; } | sha256sum; }

fresh() {
    [ "$(cat .venv/.setup-stamp 2>/dev/null)" = "$(stamp)" ] && [ -x .venv/bin/python ] &&
        { [ -z "${PYTHON:-}" ] || [ "$(inspect .venv/bin/python)" = "$(inspect "$PYTHON")" ]; }
}

if fresh; then exit 0; fi
mkdir -p .cache
exec 9>.cache/setup.lock
if command -v flock >/dev/null; then flock 9; fi # two runs at a time would undo each other's work
if fresh; then exit 0; fi
check_machine
make_venv
check_libgomp
install
stamp >.venv/.setup-stamp
say "ready: .venv ($(.venv/bin/python -V))"
