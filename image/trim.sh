#!/bin/sh
# Takes out of an installed virtual environment what no program of the image reads: two fifths of it.
#   trim.sh ENVIRONMENT
set -eu
cd "$1"/lib/python3*/site-packages

# botocore ships the models of 400 services; the API's shapes come from one of them.
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name dynamodb -exec rm -r {} +
# Sources of extension modules, and tests and examples of libraries.
find . -type f \( -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.pyi' \) -delete
find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
# The second of zstandard's two equal backends.
rm -f zstandard/_cffi*.so
