"""Bad input to a study or benchmark is one line and exit code 2; a mistake of its own is raised."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import cold_start, costs, fidelity_parity, read_ahead, resizing
from studies import by_class, discrete, generation_gain, text_gain
from studies import sampling as sampling_study
from studies.command import as_command, read_arguments, run_command
from studies.photographs import offline, pack, pieces
from studies.photographs.results import REPORTS, collect_results


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of a toy."""

    count: int = 1
    places: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is {self.count}: it must be >= 1, {'and so on ' * 20}")


def told_by(call: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of what ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        call()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and told.endswith("\n")
    return told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "count is 0: it must be >= 1, and so on and so on"),
        (["--count", "x"], "Error parsing --count: invalid literal for int() with base 10: 'x'"),
        (["--other", "1"], "Unrecognized options: --other"),
        (["word"], "Unrecognized options: word"),
    ],
)
def test_a_bad_command_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @as_command("toy")
    def main(arguments: list[str]) -> None:
        read_arguments(Settings, arguments, prog="python -m benchmarks.toy")

    told = told_by(lambda: main(words), capsys)
    assert told.startswith(f"toy: error: {message}")
    assert told.endswith("(`python -m benchmarks.toy --help`)\n")


def test_functions_and_settings_as_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[object] = []

    def main(*, number: int) -> None:
        print("said while it runs", file=sys.stderr)
        found.append(number)

    monkeypatch.setattr(sys, "argv", ["toy", "--number", "3"])
    run_command(main, "studies.toy")
    assert found == [3] and capsys.readouterr().err == "said while it runs\n"
    monkeypatch.setattr(sys, "argv", ["toy", "--count", "3"])
    run_command(found.append, "studies.toy", settings=Settings)
    assert found == [3, Settings(count=3)]
    monkeypatch.setattr(sys, "argv", ["toy"])
    told = told_by(lambda: run_command(main, "studies.toy"), capsys)
    assert told == "toy: error: Missing from python -m studies.toy: --number INT (required) " \
        "(`python -m studies.toy --help`)\n"  # fmt: skip


def test_its_own_mistakes_are_raised_and_others_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    @as_command("toy")
    def main(error: Exception) -> None:
        raise error

    with pytest.raises(AssertionError, match="a bug"):
        main(AssertionError("a bug"))
    monkeypatch.setenv("TEXTOK_TRACEBACK", "1")
    with pytest.raises(ValueError, match="what, where"):
        main(ValueError("what, where"))


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (cold_start.main, "--repeats 0", "repeats is 0: it must be >= 1"),
        (cold_start.main, "--other /nowhere", "other /nowhere: no checkout of textok"),
        (read_ahead.main, "--steps 0", "steps is 0: it must be >= 1"),
        (resizing.main, "/nowhere --out x --images 0", "images is 0: it must be >= 2"),
        (by_class.main, "--budget tpu", "--budget tpu: use one of cpu, gpu"),
        (discrete.main, "--budget tpu", "--budget tpu: use one of "),
        (generation_gain.main, "--budget tpu", "--budget tpu: use one of "),
        (text_gain.main, "--budget tpu", "--budget tpu: use one of "),
        (sampling_study.main, "--budget tpu", "--budget tpu: use one of "),
        (by_class.main, "--minutes nan", "--minutes is nan: it must be >= 0"),
        (offline.main, "x --work w --out o --seconds nan", "--seconds is nan: it must be >= 0"),
        (costs.main, "--out /dev/null/x", "/dev/null/x: Not a directory"),
    ],
)
def test_bad_values_are_one_line(
    main: Callable[..., None],
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["x", *words.split()])
    monkeypatch.setattr(costs, "recipes", list)
    told = told_by(lambda: run_command(main, "studies.x"), capsys)
    assert message in told
    assert not list(tmp_path.iterdir())


def test_pictures_that_cannot_be_compared(tmp_path: Path) -> None:
    for folder, sizes in (("one", [8]), ("two", [8, 8]), ("other", [8, 9]), ("three", [8, 8, 8])):
        (tmp_path / folder).mkdir()
        for place, size in enumerate(sizes):
            Image.new("RGB", (size, size)).save(tmp_path / folder / f"{place}.png")
    pairs = {
        ("two", "one"): "one: 1 pictures in it, two or more",
        ("two", "other"): "2 and 2 pictures of 2 sizes",
        ("two", "three"): "2 and 3 pictures of 1 sizes",
    }
    for (real, made), message in pairs.items():
        with pytest.raises(ValueError, match=message):
            fidelity_parity.read_both((tmp_path / real, tmp_path / made), 500)
    both = fidelity_parity.read_both((tmp_path / "two", tmp_path / "three"), 2)
    assert [one.shape for one in both] == [(2, 3, 8, 8)] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--train 1", "--train is 1: it must be >= 2"),
        ("--captions -1", "--captions is -1: it must be >= 0"),
        ("--networks", "--networks is empty"),
    ],
)
def test_what_cannot_be_packed(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
    given = ["pack", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *words.split()]
    monkeypatch.setattr(sys, "argv", given)
    assert message in told_by(lambda: run_command(pack.main, "studies.photographs.pack"), capsys)
    assert not (tmp_path / "out").exists()


def test_packing_leaves_the_files_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gather(tree: Path, *_: object, **__: object) -> None:
        (tree / "settings.json").write_text("{}")

    monkeypatch.setattr(pack, "gather", gather)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine.txt").write_text("mine")
    counts = {"train": 2}
    (piece,) = pack.pack(tmp_path, tmp_path, counts=counts, captions=[0], networks=["vgg16"])
    assert (tmp_path / "tree" / "mine.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"tree", piece.name}
    assert pieces.unpack(tmp_path, tmp_path / "work") == []
    assert (tmp_path / "work" / "settings.json").read_text() == "{}"


def test_pieces_of_two_sets_are_refused(tmp_path: Path) -> None:
    for limit, size in ((60_000, 10), (14_000, 2)):
        tree = tmp_path / f"tree-{limit}"
        tree.mkdir()
        for name in "abc"[:size]:
            (tree / name).write_bytes(b"x")
        pieces.write_pieces(tree, tmp_path / f"pieces-{limit}", "set", limit=limit)
    work = tmp_path / "work"
    assert pieces.unpack(tmp_path / "pieces-60000", work) == []
    with pytest.raises(ValueError, match="work has pieces of set of 01 and set of 02: give each"):
        pieces.unpack(tmp_path / "pieces-14000", work)
    (tmp_path / "pieces-60000" / "no-of-piece.tar").write_bytes(b"")
    assert pieces.unpack(tmp_path / "pieces-60000", tmp_path / "again") == []


@pytest.mark.parametrize("damaged", [REPORTS, "k4-0.safetensors"])
def test_damaged_results_are_named(damaged: str, tmp_path: Path) -> None:
    import tarfile

    results = tmp_path / "results"
    results.mkdir()
    with tarfile.open(results / REPORTS, "w:gz"):
        pass
    (results / damaged).write_bytes(b"no such format")
    with pytest.raises(ValueError, match=r"(reports\.tar|k4): damaged \(.*\); bring it again"):
        collect_results(results, tmp_path / "runs")
