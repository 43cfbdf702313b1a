#!/usr/bin/env bash
# Fuzzes each decoder of TLM for a while, from seeds that the writer makes: fuzz/run.sh [seconds per target, default 30] [target ...]
# Needs a C++ compiler and nothing else: these are the flags that `cargo fuzz run --sanitizer none` gives a stable compiler.
set -euo pipefail
cd "$(dirname "$0")"

seconds="${1:-30}"
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(extent footer column lines filter terms paths)
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
(cd ../../.. && KYMA_FUZZ_SEEDS="$work" cargo test --quiet --workspace --locked --lib -- --exact fuzz::tests::seeds_are_written_where_asked) >"$work/seeds.log" 2>&1 ||
  { cat "$work/seeds.log" >&2; exit 1; }
[ -d "$work/extent" ] || { echo "no seeds were written" >&2; exit 1; }

export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-${CARGO_TARGET_DIR:-target}/fuzz}"
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTFLAGS="$coverage --cfg fuzzing" cargo build --quiet --release --target x86_64-unknown-linux-gnu --locked "${bins[@]}"
for target in "${targets[@]}"; do
  echo "== fuzz $target, $seconds s"
  status=0
  "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/$target" "$work/$target" -max_total_time="$seconds" -rss_limit_mb=2048 \
    -timeout=10 -artifact_prefix="${FUZZ_ARTIFACTS:-$work}/" -print_final_stats=1 >"$work/$target.log" 2>&1 || status=$?
  grep -E "ERROR|panicked|number_of_executed|peak_rss|Test unit" "$work/$target.log" || true
  [ "$status" -eq 0 ] || { tail -n 40 "$work/$target.log" >&2; echo "fuzz target $target failed: status=$status" >&2; exit 1; }
done
