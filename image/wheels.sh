#!/usr/bin/env bash
# Puts the wheels of the image into build/wheels: ours into own/, and into dependencies/ those of the extras that the
# image has, by the versions of requirements.lock. Needs .venv (make setup) and, where something changed, a package index.
#   wheels.sh VIRTUAL_ENVIRONMENT
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "$1" && pwd)/bin
dependencies=build/wheels/dependencies
own=build/wheels/own

key=$(sha256sum pyproject.toml requirements.lock image/wheels.sh | sha256sum | cut -c1-32)
if [ "$(cat build/wheels.key 2>/dev/null)" != "$key" ]; then
  rm -rf build/wheels && mkdir -p "$dependencies"
  "$bin/uv" pip compile --quiet pyproject.toml --extra node --extra operator --extra cli \
    --constraint requirements.lock --no-header --no-annotate --output-file build/requirements.txt
  "$bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$dependencies" --requirement build/requirements.txt
  echo "$key" >build/wheels.key
fi
# Our own package anew each time: it is built in a second. (setuptools would keep files that are gone in build/lib.)
rm -rf "$own" build/lib build/bdist.*
"$bin/uv" build --quiet --wheel --out-dir "$own" .
rm -f "$own/.gitignore"
