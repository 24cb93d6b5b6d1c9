#!/usr/bin/env bash
# Lints the chart, renders it with the options of each kind, and compares rendered/ with what the chart gives.
#
#   docker/kubernetes/check.sh [--write]      --write: rewrite rendered/ after a change of the chart
#
# Needs helm. Where kubernetes-validate is on the PATH (pip install kubernetes-validate), every object that Kubernetes
# itself knows is checked against the schemas of VERSIONS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

VERSIONS=${VERSIONS:-1.29 1.33 1.37}
die() { printf 'docker/kubernetes/check.sh: %s\n' "$*" >&2; exit 1; }
command -v helm >/dev/null || die "there is no helm on the PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of all but comments. The same as chart_digest() of tests/packaging/test_kubernetes.py.
digest() { find chart -type f | LC_ALL=C sort | xargs grep -hv '^ *#' | sha256sum | cut -d ' ' -f 1; }

# render NAME OPTION...: into the work folder.
render() {
    local name=$1
    shift
    {
        echo "# Written by docker/kubernetes/check.sh --write from a chart with the digest $(digest)"
        helm template ernie-triton chart "$@"
    } >"$work/$name.yaml"
}

helm lint --strict --quiet chart
helm lint --strict --quiet chart --values chart/values-gpu.yaml
render cpu
render gpu --values chart/values-gpu.yaml
render options --set models.claim= --set models.s3.path=bucket/ernie --set models.s3.secret=s3 \
    --set models.s3.endpoint=https://s3.example --set models.s3.region=here --set server.readyTask=tnews \
    --set gateway.tlsSecret=tls --set gateway.grpc=true --set gateway.metricsSecret=metrics \
    --set 'server.options={--cache,64M}' --set 'server.env[0].name=OMP_NUM_THREADS' --set-string 'server.env[0].value=2' \
    --set 'network.callers[0].podSelector.matchLabels.app=ingress'
render least --set scaling.enabled=false --set monitoring.enabled=false --set network.enabled=false \
    --set gateway.keysSecret= --set models.folder=repository
# refused MESSAGE OPTION...: bad values are refused in one line.
refused() {
    local message=$1
    shift
    ! helm template ernie-triton chart "$@" >"$work/out" 2>&1 || die "not refused: $*"
    grep -q "$message" "$work/out" || die "refused, but not with '$message': $(cat "$work/out")"
}
refused "it must be cpu or gpu" --set engine=tpu
refused "either claim or s3.path" --set models.claim=
refused "use server.tritonOptions" --set engine=gpu --set 'server.options={--cache}'
refused "goes with gateway.keysSecret" --set gateway.keysSecret= --set gateway.metricsSecret=m

for name in cpu gpu; do
    if [ "${1:-}" = --write ]; then
        mkdir -p rendered && cp "$work/$name.yaml" "rendered/$name.yaml"
    else
        diff -u "rendered/$name.yaml" "$work/$name.yaml" || die "rendered/$name.yaml is not what the chart gives: run with --write"
    fi
done
echo "rendered   4 sets of values, 4 bad ones refused; rendered/ is what the chart gives"

if command -v kubernetes-validate >/dev/null; then
    : >"$work/out"
    for version in $VERSIONS; do
        for name in cpu gpu options least; do
            kubernetes-validate --strict -k "$version" "$work/$name.yaml" >>"$work/out" 2>&1 ||
                { tail -n 5 "$work/out" >&2; die "$name.yaml is not valid for Kubernetes $version"; }
        done
    done
    echo "validated  against Kubernetes $VERSIONS; not known there: $(grep -oE 'kind [A-Za-z]+' "$work/out" | sort -u | cut -d ' ' -f 2 | tr '\n' ' ')"
else
    echo "validated  nothing: there is no kubernetes-validate on the PATH"
fi
