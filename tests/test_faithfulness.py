"""docs/faithfulness.md quotes what presets have, and measurements from pages that have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.presets import preset_names, preset_path
from textok.config.read import build, merge, read_yaml

PAGE = Path(__file__).parents[1] / "docs" / "faithfulness.md"
COLUMNS = 6
SETTINGS: dict[str, type[Any]] = {
    "tokenizer": TrainTokenizerConfig,
    "generator": TrainGeneratorConfig,
    "vqgan": TrainVQGANConfig,
    "maskgit": TrainMaskGITConfig,
}
NO_CHOICE = {"data.workers", "run.sheet_every"}
"""Settings that change no result."""
NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-\d+)?")


class Row(NamedTuple):
    """One choice of a paper."""

    choice: str
    paper: str
    not_stated: str
    textok: str
    presets: str
    worth: str


class Claim(NamedTuple):
    """A setting that some presets, merged, are said to have; ``value`` None: any."""

    presets: tuple[str, ...]
    key: str
    value: str | None


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    wide = [Row(*row) for row in cells if len(row) == COLUMNS]
    return [row for row in wide if row.choice != "choice" and set(row.choice) != {"-"}]


def claims_of(cell: str) -> Iterator[Claim]:
    """Names of presets in code, then their settings in code, then other presets."""
    presets: tuple[str, ...] = ()
    for code in re.findall(r"`([^`]+)`", cell):
        key, _, value = code.partition(": ")
        if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*( [a-z0-9]+(-[a-z0-9]+)*)*", code):
            presets = tuple(code.split())
        else:
            yield Claim(presets, key, value or None)


CLAIMS = [claim for row in rows() for claim in claims_of(row.presets)]
NAMED = sorted({name for claim in CLAIMS for name in claim.presets})


@cache
def own_settings(name: str) -> dict[str, object]:
    return read_yaml(preset_path(name))


def settings_class(preset: str) -> type[Any]:
    """What the command in the preset's comment trains."""
    comments = preset_path(preset).read_text(encoding="utf-8")
    found = re.search(r"^# +textok train (\w+)", comments, re.MULTILINE)
    assert found, f"{preset} names no training"
    return SETTINGS[found[1]]


def nested(key: str, value: object) -> dict[str, object]:
    """``a.b`` and a value as a mapping of mappings."""
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def leaves(tree: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_page_has_rows_with_presets_and_settings() -> None:
    assert len(rows()) > 50
    assert all(claim.presets for claim in CLAIMS)
    table_lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| T")]
    assert all(line.count("|") == COLUMNS + 1 for line in table_lines)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_preset_exists(name: str) -> None:
    assert name in preset_names()


@pytest.mark.parametrize("presets", sorted({claim.presets for claim in CLAIMS}), ids=" ".join)
def test_presets_have_the_settings_that_the_page_quotes(presets: tuple[str, ...]) -> None:
    settings = settings_class(presets[0])
    merged = reduce(merge, map(own_settings, presets))
    config = build(settings, merged)
    for _, key, value in (claim for claim in CLAIMS if claim.presets == presets):
        found = reduce(getattr, key.split("."), config)
        if value is not None:
            # Laid over the presets, what they have changes nothing.
            quoted = nested(key, yaml.load(value, yaml.BaseLoader))
            assert build(settings, merge(merged, quoted)) == config, f"{key} is {found}"


def test_every_setting_of_a_named_preset_stands_in_the_tables() -> None:
    quoted = {claim.key for claim in CLAIMS}
    # `generator.network: {width: ...}` speaks of its parts.
    spoken = quoted | {key.rpartition(".")[0] for key in quoted}
    missing = [
        f"{name}: {key}"
        for name in NAMED
        for key in leaves(own_settings(name))
        if key not in spoken and key.rpartition(".")[0] not in quoted and key not in NO_CHOICE
    ]
    assert missing == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.choice)
def test_a_measurement_is_in_the_page_that_it_links_to(row: Row) -> None:
    *parts, rest = re.split(r"\[[^\]]*\]\(([^)]+)\)", row.worth)
    assert not NUMBER.search(rest), "a number without a page"
    for text, link in zip(parts[::2], parts[1::2], strict=True):
        if link.startswith("#"):
            continue
        page = (PAGE.parent / link.partition("#")[0]).read_text(encoding="utf-8")
        for number in NUMBER.findall(text):
            where = rf"(?<![\d.,]){re.escape(number)}(?![\d]|[.,]\d)"
            assert re.search(where, page), f"{number} is not in {link}"
    assert parts or "measured" in row.worth or "see" in row.worth, "say that it was not measured"
