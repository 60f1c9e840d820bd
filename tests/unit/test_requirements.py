"""A missing tool is a reason to skip here and a failure in CI."""

from __future__ import annotations

import pytest

from tests.requirements import require_module


def test_a_missing_module_is_skipped_here_and_fails_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no_such_module.*pip install"):
        require_module("no_such_module")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no_such_module.*In CI"):
        require_module("no_such_module")


def test_a_module_that_is_there_is_handed_out():
    assert require_module("json").loads("1") == 1
