#!/usr/bin/env bash
# Prints the Python to make the virtual environment with: 3.11 to 3.13, for which TensorFlow has wheels.
set -euo pipefail

for name in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [[ -n $name ]] && "$name" -c \
        'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        command -v "$name"
        exit 0
    fi
done
echo "error: no Python 3.11, 3.12 or 3.13 found; install one (Debian 12: apt-get install python3)" \
    "or name it: make PYTHON=/path/to/python3.11" >&2
exit 1
