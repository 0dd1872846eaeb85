#!/usr/bin/env bash
# The whole test suite, from a bare Debian 12 on; continuous integration runs the same. Each step is named and timed, and the first
# one that fails ends the run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/test.sh [--quick]

Installs what is missing (Debian packages, Python packages into .venv), then checks format, lints, scripts and documentation, runs the
demonstration once and every test. Accuracy is tested where ../shared lies beside the checkout, and skipped with a line elsewhere.
TensorRT's headers are fetched into cargo's cache, NVIDIA's libraries for tests (x86-64, 440 MB) into ~/.cache/peregrine.

  --quick   format, lints, scripts and unit tests only: no documentation, no demonstration, no integration tests
TEXT
}

quick=0
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done

if [ "${CI:-}" = true ]; then
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/target}"
  # Nothing is built twice here, so what incremental builds keep would only fill the disk.
  export CARGO_INCREMENTAL=0
fi

log=$(mktemp)
current="start"
at_end() {
  local status=$?
  rm -f "$log"
  [ "$status" = 0 ] || say "FAILED in step: $current"
}
trap at_end EXIT

step() {
  current=$1
  shift
  say "== $current"
  local begun=$SECONDS
  "$@"
  say "== $current: $((SECONDS - begun)) s"
}

packages() { need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_DEMO[@]}" "${PACKAGES_TEST[@]}"; }

rust() {
  need_rust rust-web-clippy rustfmt-web
  local tool
  for tool in fmt clippy; do
    cargo "$tool" --version >/dev/null 2>&1 || fail "cargo $tool is missing; with rustup: rustup component add clippy rustfmt"
  done
}

# For the tests of accuracy, which ../shared alone has something for, and of conversion.
python_packages() {
  local want
  want=$(sha256sum <tests/requirements.txt)
  if [ "$(cat .venv/requirements.sha256 2>/dev/null)" != "$want" ]; then
    rm -rf .venv
    /usr/bin/python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    printf '%s\n' "$want" >.venv/requirements.sha256
  fi
  PEREGRINE_PYTHON="$PWD/.venv/bin/python"
  export PEREGRINE_PYTHON
}

shell_scripts() {
  shellcheck --external-sources scripts/*.sh scripts/*/*.sh cross/*.sh tests/vm/*.sh .ci/run packaging/rollback \
    packaging/debian/{preinst,postinst,prerm,postrm}
}

python_scripts() {
  find scripts tests -name '*.py' -print0 | xargs -0 -r python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path).read(), path)'
}

# The kernel's text is what its source gives, and every board's assembler takes it.
ptx() {
  scripts/make-ptx.sh --check
  scripts/check-ptx.sh
}

lints() { cargo clippy --locked --all-targets --quiet -- -D warnings; }
documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet; }

# What a step prints is its variables: they are for those that follow.
tensorrt_headers() {
  local variables
  variables=$(scripts/tensorrt-headers.sh --rtx)
  eval "$variables"
}
tensorrt_libraries() {
  local variables
  variables=$(scripts/tensorrt-libraries.sh)
  eval "$variables"
}

# The package of what the tests have built, as lintian, a Debian that is not this machine and a systemd that really runs take it. Making
# those takes root.
package() {
  local deb
  deb=$(scripts/build-deb.sh --profile dev --fast)
  scripts/check-deb.sh "$deb"
  if [ "$(id -u)" = 0 ]; then
    scripts/test-deb.sh "$deb"
    scripts/test-systemd.sh --deb "$deb" --patient
    scripts/test-deploy.sh --deb "$deb"
  else
    say "skipped: scripts/test-deb.sh, test-systemd.sh and test-deploy.sh need root"
  fi
}

demonstration() { scripts/demo.sh --once --seconds 20 --profile dev --accept-licence; }

# cargo's output is shown and kept: the closing line counts what its summaries say.
tests() {
  local status=0
  cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
  awk '/^test result:/ { for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i } }
    END { printf "%d passed, %d failed\n", p, f }' "$log"
  return "$status"
}

step "packages" packages
step "rust toolchain" rust
step "format" cargo fmt --check
step "shell scripts" shell_scripts
step "python scripts" python_scripts
# Before anything is compiled, so that the tables are part of all that is checked.
step "tensorrt headers" tensorrt_headers
step "tensorrt tables" scripts/tensorrt-tables.sh
step "lints" lints
if [ "$quick" = 1 ]; then
  step "unit tests" tests --lib
  exit 0
fi
step "docker" scripts/check-docker.sh
step "versions and licences" scripts/release.sh --check
step "python packages" python_packages
step "tensorrt libraries" tensorrt_libraries
step "ptx" ptx
step "yocto layer" scripts/check-yocto.sh
step "documentation" documentation
step "TensorRT for aarch64" scripts/test-tensorrt-arm.sh
step "instructions on aarch64" scripts/test-instructions.sh
step "demonstration" demonstration
step "package" package
# Last, so that cargo's summaries and the count close the output.
step "tests" tests
