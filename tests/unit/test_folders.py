"""Outputs replaced whole: links, working folders, kills, writers at once, failing disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinyq.errors import FileError, TinyqError
from tinyq.support import folders
from tinyq.support.files import replace_file, write_file, write_files
from tinyq.support.folders import check_replaceable, finish_replacing, stage

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, content: str, *more: str) -> None:
    """Write the same content into several files of a folder, which is replaced."""
    with stage(folder) as staged:
        (staged / "sub").mkdir(parents=True)
        for name in ("stamp", "sub/part", *more):
            (staged / name).write_text(content)


def read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    make(tmp_path / "out", "old", "leftover")
    make(tmp_path / "out", "new")
    assert read(tmp_path / "out") == {"stamp": "new", "sub/part": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    with pytest.raises(ZeroDivisionError), stage(tmp_path / "out") as staged:
        staged.mkdir()
        raise ZeroDivisionError
    assert read(tmp_path / "out") == {"stamp": "old", "sub/part": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for target in ("disk", "missing"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        make(link, "new")
        assert link.is_symlink()
        assert read(tmp_path / target) == {"stamp": "new", "sub/part": "new"}


def test_the_working_folder_keeps_its_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    make(out, "old", "leftover")
    (out / "deep" / "er").mkdir(parents=True)
    before = out.stat().st_ino
    monkeypatch.chdir(out)
    make(Path(), "new")
    assert out.stat().st_ino == before
    assert sorted(path.name for path in Path().iterdir()) == ["stamp", "sub"]
    assert read(out) == {"stamp": "new", "sub/part": "new"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who stands where")
@pytest.mark.parametrize("inside", [".", "sub"])
def test_a_folder_that_another_process_stands_in_keeps_its_inode(
    tmp_path: Path, inside: str
) -> None:
    out = tmp_path / "out"
    make(out, "old")
    before = (out / inside).stat().st_ino
    visitor = subprocess.Popen(["sleep", "60"], cwd=out / inside)
    try:
        make(out, "new")
    finally:
        visitor.kill()
        visitor.wait()
    assert (out / inside).stat().st_ino == before
    assert read(out) == {"stamp": "new", "sub/part": "new"}


def test_files_and_folders_change_places_when_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "stamp").mkdir(parents=True)
    (out / "stamp" / "inner").write_text("a folder where a file comes")
    (out / "sub").write_text("a file where a folder comes")
    monkeypatch.chdir(out)
    make(out, "new")
    assert read(out) == {"stamp": "new", "sub/part": "new"}


@pytest.mark.parametrize("stand_inside", [False, True])
def test_kills_leave_all_that_is_needed(tmp_path: Path, stand_inside: bool) -> None:
    """Killed anywhere, the folder is the old or the new one afterwards, nothing else is left."""
    out = tmp_path / "out"
    make(out, "0")
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom tests.unit.test_folders import make\n"
        "out = Path(sys.argv[1])\n"
        "if sys.argv[2] == 'True': os.chdir(out)\n"
        "print('ready', flush=True)\n"
        "for turn in range(10**6): make(out, str(turn))\n"
    )
    for turn in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(out), str(stand_inside)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.003 + 0.0017 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        if not stand_inside:
            assert out.is_dir()  # the exchange leaves no moment without it
        finish_replacing(out)
        found = read(out)
        assert set(found) == {"stamp", "sub/part"}
        assert len(set(found.values())) == 1
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_without_exchange_comes_back_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames of a system that has no exchange."""
    out = tmp_path / "out"
    make(out, "old")
    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    rename = Path.rename

    def stop(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if killed
    with pytest.raises(KeyboardInterrupt):
        make(out, "new")
    monkeypatch.undo()
    assert not out.exists()
    finish_replacing(out)
    assert read(out) == {"stamp": "old", "sub/part": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_renames_where_there_is_no_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    make(tmp_path / "out", "old")
    make(tmp_path / "out", "new")
    assert read(tmp_path / "out") == {"stamp": "new", "sub/part": "new"}


def test_writers_at_once_never_fail(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.unit.test_folders import make\n"
        "for turn in range(60): make(Path(sys.argv[1]), sys.argv[2] + str(turn))\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "out"), name],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in "abc"
    ]
    for writer in writers:
        assert writer.communicate()[1] == b""
        assert writer.returncode == 0
    assert len(set(read(tmp_path / "out").values())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_living_writers_folder_is_not_swept(tmp_path: Path) -> None:
    with stage(tmp_path / "out") as staged:
        staged.mkdir()
        (staged / "stamp").write_text("slow")
        make(tmp_path / "out", "quick")
        finish_replacing(tmp_path / "out")
    assert read(tmp_path / "out") == {"stamp": "slow"}


def test_names_that_only_look_alike_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".out-backup").mkdir()
    (tmp_path / ".out-backup" / "lock").write_text("")
    make(tmp_path / "out", "new")
    assert (tmp_path / ".out-backup").is_dir()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("")
    with pytest.raises(TinyqError, match="is not a build folder"):
        check_replaceable(tmp_path, "stamp", "a build folder")


@pytest.mark.parametrize("stand_inside", [False, True])
def test_a_full_disk_names_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_inside: bool
) -> None:
    out = tmp_path / "out"
    make(out, "old")
    if stand_inside:
        monkeypatch.chdir(out)
    with pytest.raises(FileError, match="No space left") as caught, stage(out) as staged:
        staged.mkdir()
        raise OSError(28, "No space left on device", str(staged / "graph.tqg"))
    assert caught.value.where == str(out / "graph.tqg")
    assert read(out) == {"stamp": "old", "sub/part": "old"}


def test_files_are_written_together_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.html"
    write_files({first: "old", second: b"old"})
    write = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        if self.suffix == ".html":
            write(self, data[:1])
            raise OSError(28, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(FileError, match="No space left") as caught:
        write_files({first: "new", second: "new"})
    assert caught.value.where == str(second)
    assert (first.read_text(), second.read_text()) == ("old", "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.html"]


def test_a_file_keeps_its_link_and_its_permissions(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "link.json").symlink_to(real)
    write_file(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_file_left_by_a_killed_writer_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".a.partial.json").write_text("longer than what is written now")
    write_file(tmp_path / "a.json", "new")
    assert read(tmp_path) == {"a.json": "new"}


def test_two_writers_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replace_file(path) as partial:
        with pytest.raises(FileError, match="another process"):
            write_file(path, "second")
        partial.write_text("first")
    assert read(tmp_path) == {"a.json": "first"}


def test_devices_are_written_in_place(tmp_path: Path) -> None:
    write_file(Path(os.devnull), "gone")
    with pytest.raises(FileError, match="is a folder"):
        write_file(tmp_path, "content")
    if Path("/dev/full").exists():
        with pytest.raises(FileError, match="No space left") as caught:
            write_file(Path("/dev/full"), json.dumps([0] * 10))
        assert caught.value.where == "/dev/full"
