"""Where templates/, firmware/ and boards.yaml are.

Inside the package when it is installed, beside it in a checkout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "_data"
ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
TEMPLATES, FIRMWARE, BOARDS = ROOT / "templates", ROOT / "firmware", ROOT / "boards.yaml"
