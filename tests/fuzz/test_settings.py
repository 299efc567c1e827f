"""Whatever a settings file or a command line says: settings, or one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.budget import examples
from tests.fuzz.hostile import JUNK, TEXTS, WORDS, damaged
from tests.fuzz.outcome import LONGEST, in_bounds, told
from tests.fuzz.settings import every_settings, settings_of
from textok.cli import main as cli
from textok.config.presets import PRESETS, preset_names, preset_path
from textok.config.read import build, field_types, load_config

EVERY = every_settings()
COMMANDS = sorted(cli.COMMANDS)
YAML = st.sampled_from(
    ["? [a, b]\n: c\n", "a: &x [*x]\n", "a: &a [1, 2]\nb: *a\n", "<<: {run: 1}\n", "[" * 3000,
     "!!python/none x", "a: !!binary x\n", "%YAML 9.9\n---\na: 1", "---\na: 1\n---\nb: 2",
     "- a\n- b\n", "a: 1\na: 2\n", "{a: {", "\t", "a: |\n  x", "run: {steps: 0x10}", "\0",
     "\ufeffrun: {}", "...", "&a", "*a", "!", "run:\n  steps: 1\n run: 2", "{a: " * 3000,
     "- " * 3000]
)  # fmt: skip


@examples(8)
@given(data=st.data())
@pytest.mark.parametrize("settings", EVERY, ids=lambda one: one.__name__)
def test_every_dataclass(settings: type[Any], data: st.DataObject) -> None:
    mapping = data.draw(settings_of(settings))
    told(lambda: build(settings, mapping))


@pytest.mark.parametrize("settings", EVERY, ids=lambda one: one.__name__)
def test_no_machine_has_so_many(settings: type[Any]) -> None:
    """Processes, and pictures in a batch: asked for by mistake, they hang a machine."""
    needed = {f.name: "0" for f in fields(settings) if f.default is f.default_factory}
    for name in {"workers", "batch_size", "concurrency"} & field_types(settings).keys():
        line = told(lambda name=name: build(settings, {**needed, name: 10**12}))
        assert name in line.replace("-", "_") and "10" in line


@examples(8)
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith("train ")])
def test_settings_files(name: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    settings = cli.COMMANDS[name].settings
    path = tmp_path_factory.getbasetemp() / "settings.yaml"
    preset = preset_path(data.draw(st.sampled_from(preset_names()))).read_bytes()
    content = data.draw(
        st.one_of(
            settings_of(settings).map(lambda mapping: _dumped(mapping)),
            YAML.map(lambda text: text.encode()),
            st.lists(YAML | WORDS, max_size=3).map(lambda parts: _text("\n".join(parts))),
            damaged(preset),
            JUNK.map(lambda value: _dumped(value)),
        )
    )
    path.write_bytes(content)
    told(lambda: load_config(settings, [path]))


def _dumped(value: Any) -> bytes:
    try:
        return _text(yaml.safe_dump(value, allow_unicode=True))
    except RecursionError:
        return b"[" * 1000


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module", autouse=True)
def nothing_runs() -> Iterator[None]:
    """Commands end when their settings have been read."""
    with pytest.MonkeyPatch.context() as patch:
        for name, command in cli.COMMANDS.items():
            patch.setitem(cli.COMMANDS, name, replace(command, run=lambda _: None))
        yield


@st.composite
def words_of(draw: st.DrawFn, name: str) -> list[str]:
    """A command line of a command, with flags of its own and of nobody."""
    settings = cli.COMMANDS[name].settings
    paths = st.sampled_from(sorted(cli.Names(settings).options) or ["x"])
    words = name.split()
    if name.startswith("train "):
        words.append(draw(st.sampled_from(sorted(path.stem for path in PRESETS.glob("*.yaml")))))
    for _ in range(draw(st.integers(0, 4))):
        match draw(st.sampled_from(["flag", "flag", "word", "equals", "short", "none"])):
            case "flag":
                words += [f"--{draw(paths)}", *draw(st.lists(TEXTS, max_size=3))]
            case "equals":
                words.append(f"--{draw(paths)}={draw(TEXTS)}")
            case "short":
                words += [f"--{draw(paths).rpartition('.')[2]}", draw(TEXTS)]
            case "none":
                words += [f"--{draw(TEXTS)}", draw(TEXTS)]
            case _:
                words.append(draw(TEXTS))
    return words


@examples(8)
@given(data=st.data())
@pytest.mark.parametrize("name", COMMANDS)
def test_command_lines(name: str, data: st.DataObject, capsys: Any) -> None:
    words = data.draw(words_of(name))
    with in_bounds():
        code = cli.main(words)
    shown = capsys.readouterr()
    assert code in (0, 2)
    errors = [line for line in shown.err.split("\n") if not line.startswith("textok: note: ")]
    assert len(errors) == (2 if code else 1) and errors[-1] == "", shown.err
    assert code == 0 or errors[0].startswith("textok: error: ")
    assert len(errors[0]) < LONGEST
