#!/usr/bin/env bash
# How many instructions the aarch64 kernels of the int8 engine and the letterbox take, held against what tests/arm/instructions.tsv says: under an
# emulator with a plugin that counts (tests/arm/icount.c), so that the number is the same on any machine, busy or not. It is work, not time: what a
# board makes of it, docs/int8-arm.md estimates.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")
target=aarch64-unknown-linux-gnu
recorded=$root/tests/arm/instructions.tsv
# More than this share of a change, in either direction, wants a look: a gain is recorded, a loss is explained or taken back.
percent=1
# Another compiler than the one that the counts were recorded with may do a loop otherwise; more than this is not the compiler's to explain.
foreign_percent=5

usage() {
  cat <<'TEXT'
Usage: scripts/test-instructions.sh [--record]

  --record   writes the counts of this state into tests/arm/instructions.tsv instead of comparing
TEXT
}

record=0
case ${1:-} in
  "") ;;
  --record) record=1 ;;
  -h | --help) usage; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac
if [ "$(uname -m)" != x86_64 ]; then
  say "skipped: the counts were recorded under an emulator on x86-64, and this is $(uname -m)"
  exit 0
fi

need_packages gcc libc6-dev qemu-user
need_static_aarch64
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/arm}
cargo build --locked --quiet --release --bin peregrine-arm --manifest-path "$root/tests/arm/Cargo.toml" --target "$target"
program=$CARGO_TARGET_DIR/$target/release/peregrine-arm

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
gcc -O2 -shared -fPIC "$root/tests/arm/icount.c" -o "$work/icount.so"

# total CPU ARGUMENT…
total() {
  local cpu=$1
  shift
  qemu-aarch64 -cpu "$cpu" -plugin "$work/icount.so" "$program" "$@" 2>&1 >/dev/null | sed -n 's/^instructions //p'
}

# once CPU ARGUMENT… (with @ where the number of times stands): what one more time costs, without the program's start.
once() {
  local one two
  one=$(total "${@/@/1}")
  two=$(total "${@/@/2}")
  echo $((two - one))
}

# What is counted: a name, the processor, the arguments. A row of each convolution will do, all rows are alike.
cases() {
  local shape
  while read -r kernel cpu; do
    while read -r shape; do
      # shellcheck disable=SC2086  # numbers of one shape
      set -- $shape
      echo "$kernel-$1-$2-to-$3-size$4-step$5${6:+-add} $cpu conv $kernel 1 $1 $2 $3 $4 $5 @ ${6:-}"
    done <<<'20 64 64 3 1
20 128 128 1 1
20 64 64 3 1 add
160 3 16 3 2'
  done <<<'neon cortex-a72
neon-dot cortex-a76
i8mm max'
  echo "letterbox-u8 cortex-a72 letterbox u8 @"
  echo "letterbox-f32 cortex-a72 letterbox f32 @"
}

compiler=$("${RUSTC:-rustc}" --version | awk '{ print $2 }')
begun=$SECONDS
while read -r name arguments; do
  # shellcheck disable=SC2086  # words
  printf '%s\t%s\n' "$name" "$(once $arguments)"
done < <(cases) >"$work/counts"
[ "$(awk -F '\t' '$2 > 1000' "$work/counts" | wc -l)" = "$(cases | wc -l)" ] || fail "not everything was counted:
$(cat "$work/counts")"

if [ "$record" = 1 ]; then
  {
    echo "# Instructions of one row of a convolution (KERNEL-WIDTH-IN-to-OUT channels) and of one letterbox; scripts/test-instructions.sh --record writes this file."
    echo "# rustc $compiler"
    cat "$work/counts"
  } >"$recorded"
  say "wrote $recorded"
  exit 0
fi

known=$(sed -n 's/^# rustc //p' "$recorded")
if [ "$known" != "$compiler" ]; then
  say "recorded with rustc $known, this is $compiler: $foreign_percent % are allowed in place of $percent %"
  percent=$foreign_percent
fi
table=$(awk -F '\t' -v percent=$percent '
  FNR == NR { if ($0 !~ /^#/) was[$1] = $2; next }
  !($1 in was) { printf "%-37s %9d, not recorded  <-\n", $1, $2; bad = 1; next }
  { change = ($2 / was[$1] - 1) * 100; mark = (change > percent || change < -percent) ? "  <-" : ""; if (mark) bad = 1
    printf "%-37s %9d, recorded %9d, %+.2f %%%s\n", $1, $2, was[$1], change, mark; delete was[$1] }
  END { for (name in was) { printf "%-37s recorded %9d, no longer counted  <-\n", name, was[name]; bad = 1 } exit bad }' \
  "$recorded" "$work/counts") && status=0 || status=$?
say "$table"
[ "$status" = 0 ] || fail "more than $percent % off what is recorded, or recorded and counted are not the same: explain it and run with --record, or take it back"
say "$(wc -l <"$work/counts") counts within $percent %, $((SECONDS - begun)) s"
