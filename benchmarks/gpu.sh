#!/usr/bin/env bash
# All that is to be known of a GPU, in four minutes: bash benchmarks/gpu.sh > gpu.md
# Quick parts first, so that a clock that runs out costs the longest table its end. `--tiny` on a machine without one.
set -u
cd "$(dirname "$0")/.."
timeout 245 python -m benchmarks.gpu --parts copies averaging batches loader peers "$@"
