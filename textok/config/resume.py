"""Which settings may change when an interrupted run is resumed: those whose fields say so."""

from __future__ import annotations

from dataclasses import field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

MAY_CHANGE = MappingProxyType({"may_change": True})
"""Metadata of a field that, with all that lies below it, may differ from the interrupted run's."""


def may_change(default: T) -> T:
    """The default of a setting that may change: one that the trained weights do not depend on.

    Such as where files lie, what is logged, or how the work is split over the hardware.
    """
    value: T = field(default=default, metadata=MAY_CHANGE)
    return value


def changeable(settings: type[Any]) -> frozenset[str]:
    """Dotted names of the settings of a dataclass that may change when a run is resumed."""
    return frozenset(_changeable(settings, "", marked=False))


def _changeable(settings: type[Any], prefix: str, *, marked: bool) -> list[str]:
    hints = get_type_hints(settings)
    names: list[str] = []
    for one in fields(settings):
        name, kind = f"{prefix}{one.name}", hints[one.name]
        free = marked or "may_change" in one.metadata
        if is_dataclass(kind):
            assert isinstance(kind, type)
            names += _changeable(kind, f"{name}.", marked=free)
        elif free:
            names.append(name)
    return names
