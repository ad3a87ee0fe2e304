#!/usr/bin/env bash
# Puts the wheels of the image into build/wheels: ours, and those of the extras that the image has, by the versions of
# requirements.lock. Does nothing where they are there. Needs .venv (make setup) and, the first time, a package index.
#   wheels.sh VIRTUAL_ENVIRONMENT
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "$1" && pwd)/bin
wheels=build/wheels

key=$(sha256sum pyproject.toml requirements.lock image/wheels.sh | sha256sum | cut -c1-32)
if [ "$(cat build/wheels.key 2>/dev/null)" != "$key" ]; then
  rm -rf "$wheels" && mkdir -p "$wheels"
  "$bin/uv" pip compile --quiet pyproject.toml --extra node --extra operator --extra cli \
    --constraint requirements.lock --no-header --no-annotate --output-file build/requirements.txt
  "$bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$wheels" --requirement build/requirements.txt
  echo "$key" >build/wheels.key
fi
# Our own package anew each time: it is built in a second. (setuptools would keep files that are gone in build/lib.)
rm -rf "$wheels"/keystead-*.whl build/lib build/bdist.*
"$bin/uv" build --quiet --wheel --out-dir "$wheels" .
rm -f "$wheels/.gitignore"
