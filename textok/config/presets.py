"""The presets that ship with the package, found by name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

PRESETS = Path(__file__).parents[1] / "presets"


def preset_names() -> list[str]:
    """The names of the packaged presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """A packaged preset's file, or a user's own ``.yaml``. Raises ValueError for neither."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in preset_names():
        near = get_close_matches(name, preset_names(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`textok presets` lists them"
        raise ValueError(f"no preset is called '{name}': {hint}")
    return PRESETS / f"{name}.yaml"


def preset_summary(name: str) -> str:
    """The first comment line of a packaged preset: what it is for."""
    with preset_path(name).open(encoding="utf-8") as lines:
        return next(lines).removeprefix("#").strip()
