"""Imports that write to standard error: silent when they succeed, heard when they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tinyq.support.quiet import import_quietly


@pytest.mark.parametrize(("ending", "heard"), [("", ""), ("raise ImportError('no')\n", "noise")])
def test_noise_is_shown_only_with_a_failure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    ending: str,
    heard: str,
) -> None:
    name = f"noisy_{len(ending)}"
    (tmp_path / f"{name}.py").write_text(f"import os\nos.write(2, b'noise')\n{ending}")
    monkeypatch.syspath_prepend(tmp_path)
    if ending:
        with pytest.raises(ImportError):
            import_quietly(name)
    else:
        import_quietly(name)
        assert name in sys.modules
    assert capfd.readouterr().err == heard
