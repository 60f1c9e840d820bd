#!/usr/bin/env bash
# Makes the virtual environment in the folder $1 and installs tinyq there, editable, with the tested versions.
set -euo pipefail

folder=$1
python=$("$(dirname "$0")/python.sh")

# Without pip the folder is what an interrupted run left behind.
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "error: $python cannot make virtual environments; install python3-venv" \
            "(Debian, Ubuntu: sudo apt-get install -y python3-venv)" >&2
        exit 1
    fi
    echo "making $folder with $("$python" --version)"
    "$python" -m venv --clear "$folder"
fi

echo "installing tinyq and what it needs into $folder (some minutes the first time)"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    -c constraints.txt -e '.[dev]'
