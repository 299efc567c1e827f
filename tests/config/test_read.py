"""The strict reader: what it takes, what it refuses and in which words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest

import textok.config
from textok.config import (
    DataConfig,
    GanConfig,
    LossConfig,
    ObjectiveConfig,
    OptimConfig,
    TokenizerConfig,
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
    ViTConfig,
)
from textok.config.read import build, load_config, merge, to_yaml


@dataclass(frozen=True, kw_only=True)
class Leaf:
    size: int
    mode: Literal["on", "off", 3] = "on"


@dataclass(frozen=True, kw_only=True)
class Every:
    """One field of every type a setting can have."""

    text: str = ""
    whole: int = 0
    number: float = 0.0
    switch: bool = False
    maybe: int | None = 7
    pair: tuple[int, float] = (1, 2.0)
    many: tuple[str, ...] = ()
    listed: list[Leaf] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    leaf: Leaf = field(default_factory=lambda: Leaf(size=1))


def read(tmp_path: Path, text: str, cls: type = Every) -> object:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return load_config(cls, [path])


def test_the_type_of_the_field_decides(tmp_path: Path) -> None:
    text = """
        text: on
        whole: 20_000
        number: 1e-4
        switch: yes
        maybe: null
        pair: [3, 4]
        many: [no, 1.50, "null"]
        listed: [{size: 5, mode: off}, {size: 6, mode: 3}]
        table: {a: 1, b: 2e3}
        leaf: {size: 9}
    """
    assert read(tmp_path, text) == Every(
        text="on",
        whole=20_000,
        number=1e-4,
        switch=True,
        maybe=None,
        pair=(3, 4.0),
        many=("no", "1.50", "null"),
        listed=[Leaf(size=5, mode="off"), Leaf(size=6, mode=3)],
        table={"a": 1.0, "b": 2000.0},
        leaf=Leaf(size=9),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tokenizer: {num_token: 3}",
            "tokenizer.num_token: no such field; did you mean 'num_tokens'?",
        ),
        ("loss: {gan: {zzz: 3}}", "loss.gan.zzz: no such field; there is weight, adaptive, "),
        ("optim: {lr: fast}", "optim.lr: 'fast' is not a number"),
        ("optim: {lr: nan}", "optim.lr: 'nan' is not a number"),
        ("optim: {lr: [1]}", "optim.lr: ['1'] is not a number"),
        ("optim: {betas: [0.9]}", "optim.betas: has 1 values, it takes 2"),
        ("optim: {betas: [0.9, x]}", "optim.betas[1]: 'x' is not a number"),
        ("optim: {betas: 0.9}", "optim.betas: '0.9' is not a list"),
        ("run: {steps: 1.5}", "run.steps: '1.5' is not a whole number"),
        ("run: {steps:}", "run.steps: '' is not a whole number"),
        ("run: {compile: 2}", "run.compile: '2' is not true or false"),
        ("tokenizer: {text: all}", "tokenizer.text: 'all' is not one of both, encoder, decoder, "),
        ("tokenizer: {encoder: XXL}", "ViT size 'XXL' is unknown: use one of ['B', 'L', 'S']"),
        ("tokenizer: 3", "tokenizer: '3' is not a mapping of settings"),
        ("optim: {lr: 0}", "optim.lr is 0.0: it must be > 0"),
        ("- 1", "some.yaml: not a mapping of settings"),
        ("run:\n  steps: 1\n  steps: 2", "some.yaml:3: 'steps' is set twice in one mapping"),
        ("run:\n  steps: [1", "some.yaml:2: expected ',' or ']'"),
        ("? [a, b]\n: 1", "some.yaml:1: the name of a setting is a list or a mapping"),
        ("a: " + "[" * 5000, "some.yaml: nested too deeply for settings"),
        ("run: {steps: " + "9" * 5000 + "}", "run.steps: '9999"),
        ("run: \x00", "some.yaml: not a YAML text: unacceptable character"),
    ],
)
def test_refusals_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        read(tmp_path, text, TrainTokenizerConfig)
    line = str(refusal.value).replace(f"{tmp_path}/", "")
    assert line.removeprefix("some.yaml: ").startswith(message.removeprefix("some.yaml: "))
    assert line.startswith("some.yaml") and "\n" not in line and len(line) < 500


def test_plain_values_are_judged_like_text() -> None:
    with pytest.raises(ValueError, match=r"^whole: 1\.5 is not a whole number$"):
        build(Every, {"whole": 1.5})
    with pytest.raises(ValueError, match=r"^whole: True is not a whole number$"):
        build(Every, {"whole": True})
    with pytest.raises(ValueError, match=r"^text: None is not a text$"):
        build(Every, {"text": None})
    assert build(Every, {"switch": True, "number": 2, "maybe": None}) == Every(
        switch=True, number=2.0, maybe=None
    )


def test_a_field_without_default_is_needed() -> None:
    with pytest.raises(ValueError, match=r"^leaf\.size: a value is needed$"):
        build(Every, {"leaf": {"mode": "off"}})


def test_one_setting_of_a_group_leaves_the_others_as_the_help_shows_them() -> None:
    shown = TrainMaskGITConfig()
    given = {"sampling": {"temperature": 1}, "generator": {"network": {"width": 64}}}
    read = build(TrainMaskGITConfig, given)
    assert read.sampling == replace(shown.sampling, temperature=1.0)
    assert read.generator.network == replace(shown.generator.network, width=64)
    by_flow = build(TrainGeneratorConfig, {"generator": {"objective": {"name": "meanflow"}}})
    assert by_flow.generator.objective == ObjectiveConfig(name="meanflow")


def test_files_merge_left_to_right_and_overrides_come_last(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("tokenizer: {num_tokens: 8, channels: 4, encoder: S}\noptim: {lr: 1}")
    second.write_text("tokenizer: {num_tokens: 16, decoder: {width: 64, depth: 2, heads: 2}}")
    config = load_config(TrainTokenizerConfig, [first, second], {"optim": {"lr": "3e-4"}})
    assert config == TrainTokenizerConfig(
        tokenizer=TokenizerConfig(
            num_tokens=16,
            channels=4,
            encoder=ViTConfig.named("S"),
            decoder=ViTConfig(width=64, depth=2, heads=2),
        ),
        optim=OptimConfig(lr=3e-4),
    )


def test_merge_leaves_its_inputs_alone() -> None:
    base = {"a": {"b": "1"}}
    assert merge(base, {"a": {"c": "2"}}) == {"a": {"b": "1", "c": "2"}}
    assert base == {"a": {"b": "1"}}


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing yet\n", TrainTokenizerConfig) == TrainTokenizerConfig()


def test_round_trip_is_exact(tmp_path: Path) -> None:
    config = TrainTokenizerConfig(
        tokenizer=TokenizerConfig(initial_logvar=-1 / 3, nested=True, encoder=ViTConfig.named("L")),
        data=DataConfig(path="a: folder # with 'quotes', ünïcode\nand a second line", where="on"),
        loss=LossConfig(kl=1e-7, gan=GanConfig(weight=1e-30)),
        optim=OptimConfig(betas=(0.1 + 0.2, 0.999)),
        init="null",
    )
    assert read(tmp_path, to_yaml(config), TrainTokenizerConfig) == config
    every = Every(
        maybe=None, many=("1", "yes", ""), listed=[Leaf(size=2, mode=3)], table={"x": 1.0}
    )
    assert read(tmp_path, to_yaml(every)) == every


def test_yaml_names_every_dial() -> None:
    text = to_yaml(replace(TrainTokenizerConfig(), init="x"))
    for setting in ("num_tokens: 128", "text: both", "start: 20000", "clip: 1.0", "init: x"):
        assert setting in text


def test_one_word_is_a_list_of_one_where_any_number_will_do() -> None:
    config = build(TrainGeneratorConfig, {"prompts": "a red apple"})
    assert config.prompts == ("a red apple",)


def settings_in(group: type[Any]) -> Iterator[set[str]]:
    """``Class.name`` of every single setting, for each class that may have introduced it."""
    for setting in fields(group):
        kind = get_type_hints(group)[setting.name]
        if is_dataclass(kind):
            yield from settings_in(kind)
        else:
            yield {f"{base.__name__}.{setting.name}" for base in group.__mro__}


@pytest.mark.parametrize(
    "top", [TrainTokenizerConfig, TrainVQGANConfig, TrainGeneratorConfig, TrainMaskGITConfig]
)
def test_every_setting_is_explained(top: type[Any]) -> None:
    explained = set()
    for module in sorted(Path(textok.config.__file__).parent.glob("*.py")):
        for group in ast.parse(module.read_text("utf-8")).body:
            if isinstance(group, ast.ClassDef):
                for setting, after in pairwise(group.body):
                    if isinstance(setting, ast.AnnAssign) and ast.unparse(after)[:1] in "'\"":
                        explained.add(f"{group.name}.{ast.unparse(setting.target)}")
    for names in settings_in(top):
        assert names & explained


@pytest.mark.parametrize("word", ["", "~", "null", "None"])
def test_a_number_that_may_be_missing_is_left_out_by_each_usual_word(word: str) -> None:
    gan = build(GanConfig, {"discriminator_start": word, "betas": word, "weight_decay": "0.5"})
    assert (gan.discriminator_start, gan.betas, gan.weight_decay) == (None, None, 0.5)
    assert build(GanConfig, {"betas": ["0", "0.99"]}).betas == (0.0, 0.99)
