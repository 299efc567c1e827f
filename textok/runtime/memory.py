"""How much memory is free, for what is about to take much of it."""

from __future__ import annotations

from pathlib import Path

import torch

from textok.config.check import require

_CONTAINERS = (
    ("memory.max", "memory.current"),  # Linux control groups, version 2
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # version 1
)


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on ``device``; None where the system does not say.

    Main memory is what Linux calls available, and no more than the container has left.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return main_memory(Path("/proc/meminfo"), Path("/sys/fs/cgroup"))


def check_rows(rows: int, bytes_each: int, *, setting: str) -> None:
    """Raise ValueError, naming ``setting``, where so many images at once cannot be in main memory.

    ``bytes_each`` is a lower bound, so that nothing that fits is refused; a GPU tells itself.
    """
    free, needed = free_bytes(torch.device("cpu")), rows * bytes_each
    require(
        free is None or needed <= free,
        f"{setting}: {rows:,} images at once need {needed / 1e9:,.1f} GB of main memory at the "
        f"least and {(free or 0) / 1e9:,.1f} GB are free: make it smaller",
    )


def main_memory(meminfo: Path, groups: Path) -> int | None:
    """The same of main memory, by the files in which Linux says it."""
    free = [1024 * n for name, n in _fields(meminfo).items() if name == "MemAvailable:"]
    for limit, used in _CONTAINERS:
        try:
            left = int((groups / limit).read_text()) - int((groups / used).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        held = _fields((groups / limit).with_name("memory.stat"))
        # Files that the system holds in memory, and lets go of as soon as it is needed.
        free.append(left + held.get("active_file", 0) + held.get("inactive_file", 0))
    return max(0, min(free)) if free else None


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines ``NAME NUMBER``; none where it cannot be read."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
