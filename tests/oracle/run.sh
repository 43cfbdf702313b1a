#!/bin/sh
# Compares kyma's KQL frontend with Microsoft's language service, in one command.
#
#     KYMA_SHARED=... tests/oracle/run.sh [EVERY]      every query, or one in EVERY
#
# Installs the pinned npm package and writes its answers below the target folder, never into the repository.
# CARGO may name another cargo.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${CARGO_TARGET_DIR:-$here/../../target}/oracle
queries=${KYMA_SHARED:?set KYMA_SHARED to the folder of the shared conformance cases}/conformance/kql/realworld.jsonl

mkdir -p "$out"
cp "$here/package.json" "$here"/*.mjs "$out"
cd "$out"
npm install --no-audit --no-fund --silent
node run.mjs "$queries" real.jsonl "${1:-1}"
node run.mjs --probes probes.jsonl

cd "$here/../.."
cargo=${CARGO:-cargo}
KYMA_ORACLE="$out/real.jsonl" KYMA_ORACLE_PROBES="$out/probes.jsonl" \
  "$cargo" test -p kyma-kql --lib the_language_service -- --nocapture
