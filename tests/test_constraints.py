"""constraints.txt has a version for everything that is required, and `uv sync` takes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

tomllib = pytest.importorskip("tomllib")  # Python 3.11

ROOT = Path(__file__).parents[1]
LOCKED = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line[:1] not in ("#", "")
]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return found


@pytest.fixture(scope="module")
def required(settings: dict[str, Any]) -> list[Requirement]:
    """What textok and its extras name, build requirements too."""
    project = settings["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    every = [*project["dependencies"], *extras, *settings["build-system"]["requires"]]
    found = map(Requirement, every)
    return [requirement for requirement in found if requirement.name != "textok"]


def test_every_requirement_has_versions_that_it_allows(required: list[Requirement]) -> None:
    locked = [Requirement(line) for line in LOCKED]
    for requirement in required:
        name = canonicalize_name(requirement.name)
        pins = [pin for pin in locked if canonicalize_name(pin.name) == name]
        assert pins != [], f"constraints.txt has no {name}"
        for pin in pins:
            (version,) = (one.version for one in pin.specifier)
            assert version in requirement.specifier, f"{pin} is not {requirement}"


def test_uv_takes_the_same_versions(settings: dict[str, Any], required: list[Requirement]) -> None:
    direct = {canonicalize_name(requirement.name) for requirement in required}
    wanted = [line for line in LOCKED if canonicalize_name(Requirement(line).name) in direct]
    listed = settings["tool"]["uv"]["constraint-dependencies"]
    lines = "\n".join(f'    "{line}",' for line in wanted)
    assert listed == wanted, (
        f"[tool.uv] constraint-dependencies of pyproject.toml should be\n{lines}"
    )
