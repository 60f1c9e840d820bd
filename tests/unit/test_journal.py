"""The journal of a measurement: what is no answer of the device is not taken for one."""

from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from tests.classifier import classifier
from tinyq.errors import FileError, LinkError, TinyqError
from tinyq.hardware.boards import find_board
from tinyq.measurement.journal import Run, open_journal
from tinyq.measurement.run import measure
from tinyq.project import Project, create_project
from tinyq.support.datasets import Dataset, make_dataset

RUN = Run("f" * 64, "9" * 64, "host", (10, 12), "d" * 64, 3)
ANSWERS = np.arange(30, dtype=np.uint8).reshape(10, 3)
HEADER_BYTES, RECORD_BYTES = 52, 11


def keep(folder: Path, count: int, run: Run = RUN) -> Path:
    with open_journal(folder, run) as journal:
        journal.write(0, ANSWERS[:count])
    (path,) = folder.glob("*.partial")
    return path


def reread(folder: Path, run: Run = RUN) -> list[list[int]]:
    with open_journal(folder, run) as journal:
        return journal.read().tolist()


def test_answers_come_back(tmp_path: Path) -> None:
    with open_journal(tmp_path, RUN) as journal:
        assert journal.read().shape == (0, 3)
        journal.write(0, ANSWERS[:4])
        journal.write(4, ANSWERS[4:9])
        journal.write(7, ANSWERS[:1])  # in the place of the eighth, the ninth is forgotten
    assert reread(tmp_path) == [*ANSWERS[:7].tolist(), ANSWERS[0].tolist()]


def test_a_run_that_does_not_begin_keeps_what_is_there(tmp_path: Path) -> None:
    keep(tmp_path, 4)
    with pytest.raises(LinkError, match="4 of 10"), open_journal(tmp_path, RUN):
        raise LinkError("no such port")
    assert reread(tmp_path) == ANSWERS[:4].tolist()


def test_a_hole_is_never_written(tmp_path: Path) -> None:
    with open_journal(tmp_path, RUN) as journal, pytest.raises(ValueError, match="hole"):
        journal.write(2, ANSWERS[:1])
    assert list(tmp_path.iterdir()) == []


def test_every_byte_is_checked(tmp_path: Path) -> None:
    """Whatever byte changes: the answers before its record stay, it and those behind it do not."""
    path = keep(tmp_path, 4)
    content = path.read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        whole = max(0, (place - HEADER_BYTES) // RECORD_BYTES) if place >= HEADER_BYTES else 0
        assert reread(tmp_path) == ANSWERS[:whole].tolist()
        path.write_bytes(content)


def test_cut_off_zeroed_or_shifted(tmp_path: Path) -> None:
    path = keep(tmp_path, 4)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        whole = max(0, (length - HEADER_BYTES) // RECORD_BYTES)
        assert reread(tmp_path) == ANSWERS[:whole].tolist()
    path.write_bytes(content[:HEADER_BYTES] + bytes(4 * RECORD_BYTES))  # after a power cut
    assert reread(tmp_path) == []
    path.write_bytes(content[:HEADER_BYTES] + content[HEADER_BYTES + RECORD_BYTES :])
    assert reread(tmp_path) == []


OTHER = {
    "firmware_digest": "e" * 64,
    "graph_digest": "8" * 64,
    "kind": "serial",
    "shape": (9, 12),
    "data_digest": "c" * 64,
    "answer_bytes": 4,
}


def test_every_ingredient_has_another_value_here() -> None:
    assert OTHER.keys() == {field.name for field in dataclasses.fields(Run)}


@pytest.mark.parametrize("ingredient", OTHER)
def test_another_run_takes_nothing(ingredient: str, tmp_path: Path) -> None:
    path = keep(tmp_path, 4)
    other = dataclasses.replace(RUN, **{ingredient: OTHER[ingredient]})
    assert other.key != RUN.key
    assert reread(tmp_path, other) == []
    assert reread(tmp_path) == ANSWERS[:4].tolist()
    # Not even where the file is given the other's name.
    path.rename(tmp_path / f"measure-{other.key.hex()[:16]}.partial")
    assert reread(tmp_path, other) == []


def test_two_at_once(tmp_path: Path) -> None:
    with open_journal(tmp_path, RUN) as journal:
        journal.write(0, ANSWERS[:2])
        with pytest.raises(FileError, match="another run"), open_journal(tmp_path, RUN):
            pass
    assert reread(tmp_path) == ANSWERS[:2].tolist()


def _hold(folder: Path, ready: object, end: object) -> None:
    with open_journal(folder, RUN) as journal:
        journal.write(0, ANSWERS[:2])
        ready.set()  # type: ignore[attr-defined]
        end.wait(60)  # type: ignore[attr-defined]


def test_a_killed_run_frees_the_lock(tmp_path: Path) -> None:
    start = multiprocessing.get_context("spawn")
    ready, end = start.Event(), start.Event()
    child = start.Process(target=_hold, args=(tmp_path, ready, end))
    child.start()
    assert ready.wait(60)
    with pytest.raises(FileError, match="another run"), open_journal(tmp_path, RUN):
        pass
    child.kill()
    child.join()
    assert reread(tmp_path) == ANSWERS[:2].tolist()


def test_errors_of_the_link_say_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="silent$"), open_journal(tmp_path, RUN):
        raise LinkError("silent")
    with pytest.raises(LinkError, match="4 of 10"), open_journal(tmp_path, RUN) as journal:
        journal.write(0, ANSWERS[:4])
        raise LinkError("silent")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("journal") / "build"
    return create_project(classifier(), find_board("host"), folder)


def draw(seed: int, samples: int = 150) -> Dataset:
    return make_dataset(np.random.default_rng(seed).normal(0, 4, (samples, 12)))


def interrupt(project: Project, data: Dataset, at: int = 96) -> None:
    def stop(done: int, total: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(project, "host", data, stop)


@pytest.mark.requires("gcc")
class TestRuns:
    def test_a_second_run_is_refused(self, project: Project) -> None:
        data = draw(5)
        refused = []

        def second(done: int, total: int) -> None:
            if done == 64:
                with pytest.raises(TinyqError, match="another run") as caught:
                    measure(project, "host", data)
                refused.append(caught.value)

        assert measure(project, "host", data, second).mismatches == 0
        assert len(refused) == 1

    def test_a_removed_journal_does_no_harm(self, project: Project) -> None:
        """Another program deletes it, the run goes on and is interrupted, the next one is right."""
        data = draw(5)

        def remove(done: int, total: int) -> None:
            if done == 64:
                next(project.folder.glob("*.partial")).unlink()
            if done == 96:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            measure(project, "host", data, remove)
        assert measure(project, "host", data).mismatches == 0

    def test_a_replaced_folder_is_noticed(self, project: Project, tmp_path: Path) -> None:
        own = create_project(classifier(), find_board("host"), tmp_path / "build")

        def rebuild(done: int, total: int) -> None:
            if done == 64:
                create_project(classifier(seed=8), find_board("host"), tmp_path / "build")

        with pytest.raises(TinyqError, match="was replaced while it was measured"):
            measure(own, "host", draw(5), rebuild)
        assert not list(own.folder.glob("*.partial"))

    @pytest.mark.parametrize("other", ["data", "fewer samples", "more samples", "firmware"])
    def test_another_run_after_an_interruption(
        self, project: Project, other: str, tmp_path: Path
    ) -> None:
        """One ingredient is changed; answers of the first run would be mismatches of the second."""
        interrupt(project, draw(5))
        kept = next(project.folder.glob("*.partial"))
        content = kept.read_bytes()
        next_data = {
            "data": draw(6),
            "fewer samples": draw(5, 149),
            "more samples": draw(5, 160),
        }.get(other, draw(5))
        if other == "firmware":
            changed = create_project(classifier(seed=8), find_board("host"), tmp_path / "b")
            (changed.folder / kept.name).write_bytes(content)
        else:
            changed = project
        assert measure(changed, "host", next_data).mismatches == 0
        assert kept.read_bytes() == content
        seen: list[int] = []
        assert measure(project, "host", draw(5), lambda done, _: seen.append(done)).mismatches == 0
        assert seen[0] > 96
        assert not kept.exists()
