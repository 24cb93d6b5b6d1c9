#!/usr/bin/env bash
# Installs every extra from the network into fresh environments, runs each from another folder, prints size and time.
#
#   tests/packaging/fresh_installs.sh FOLDER PYTHON...     e.g. /var/tmp/fresh python3.10 python3.12
#
# FOLDER is made, and needs 8 GB for each Python. Sizes are of site-packages, without pip and setuptools; the environment of `build`
# makes the model repository that `serve` serves, `client` asks and `perf` measures.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ $# -ge 2 ] || { sed -n '4,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
TASK=cluewsc2020
PORTS=(--http-port 18000 --grpc-port 18001 --metrics-port 18002)

install() { # PYTHON EXTRA
    local env="$folder/$name-$2" begin end
    rm -rf "$env"
    "$1" -m venv "$env"
    begin=$(date +%s)
    (cd "$root" && "$env/bin/python" -m pip install --disable-pip-version-check --quiet ".[$2]") >"$env.log" 2>&1 ||
        { tail -n 20 "$env.log" >&2; return 1; }
    end=$(date +%s)
    printf '%-6s %-7s installed in %4d s, %5d MB\n' "$name" "$2" $((end - begin)) "$(size "$env")"
}

size() { # ENV: MB in site-packages, without what every new environment has
    local packages
    packages=$(echo "$1"/lib/python3.*/site-packages)
    du -sk --apparent-size --exclude=pip --exclude=setuptools --exclude=pkg_resources "$packages" | awk '{ print int($1 / 1024 + 0.5) }'
}

step() { # NAME COMMAND...: runs it in the work folder; its output is shown where it fails
    local label=$1 begin end
    shift
    begin=$(date +%s)
    (cd "$work" && "$@") >"$work/step.log" 2>&1 || { echo "$name $label FAILED: $*"; tail -n 20 "$work/step.log"; return 1; }
    end=$(date +%s)
    printf '%-6s %-7s works: %d s\n' "$name" "$label" $((end - begin))
}

status=0
for python in "$@"; do
    name=$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
    work="$folder/$name-work"
    rm -rf "$work"
    mkdir -p "$work"
    for extra in client serve build perf; do
        install "$python" "$extra" || status=1
    done
    "$folder/$name-client/bin/python" - <<'PY'
import time

begin = time.perf_counter()
import ernie_triton

print(f"       client  imports in {time.perf_counter() - begin:.3f} s")
PY
    step build "$folder/$name-build/bin/ernie-triton" build --tasks "$TASK" --variants fp32 || status=1
    if step serve "$folder/$name-serve/bin/ernie-triton" serve "${PORTS[@]}" --detach; then
        step client "$folder/$name-client/bin/ernie-triton" tasks --url 127.0.0.1:18001 || status=1
        step stop "$folder/$name-serve/bin/ernie-triton" stop --http-port 18000 || status=1
    else
        status=1
    fi
    step perf "$folder/$name-perf/bin/ernie-triton" perf sweep --repository "$work/model_repository" --tasks "$TASK" \
        --concurrency 1 --rates '' --rounds 1 --seconds 1 --limit 4 --output run || status=1
done
exit "$status"
