#!/usr/bin/env bash
# Build the distribution, look into the wheel, install it with its dependencies in a new
# environment and use it there, away from the source.
#
# usage: wheel_test.sh PYTHON   PYTHON: the development environment's interpreter
#        TORCH, TORCH_SOURCE    which torch to install: see the Makefile
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
python=$(realpath --no-symlinks "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

# From a copy of what git would commit: `build/` and ignored files in the working tree must not
# reach the wheel. The wheel is built from the source distribution, so both are tried.
mkdir "$work/source" "$work/away"
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' path; do
    if [ -e "$path" ]; then printf '%s\0' "$path"; fi
  done |
  tar --create --no-recursion --null --files-from=- | tar --extract --directory "$work/source"
"$python" -m build --no-isolation --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 || {
  cat "$work/build.log" >&2
  exit 1
}
wheel=("$work"/dist/*.whl)
"$python" .ci/wheel_contents.py "${wheel[0]}" "$work/source"

"$python" -m venv "$work/venv"
# TORCH_SOURCE holds several words or none.
# shellcheck disable=SC2086
"$work/venv/bin/python" -m pip install -qq ${TORCH_SOURCE:-} \
  -c constraints.txt "${TORCH:-torch}" "${wheel[0]}"
if ! "$work/venv/bin/python" -c 'import cv2' 2>/dev/null; then
  "$work/venv/bin/python" -m pip install -qq -c constraints.txt --force-reinstall --no-deps \
    opencv-python-headless
fi

cp .ci/wheel_use.py "$work/away/"
cd "$work/away"
"$work/venv/bin/python" -W error wheel_use.py
"$work/venv/bin/vase-rl" --help >help.txt
grep -q demo help.txt
echo "wheel test: passed"
