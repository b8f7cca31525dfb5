#!/bin/sh
# Runs the generated cases on this machine's processor and replaces the vectors. Needs x86-64 Linux and gcc.
cd "$(dirname "$0")/../.." && CAPTURE_VECTORS=1 npx vitest run test/differential/capture.test.ts
