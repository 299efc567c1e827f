"""The report of a finished run: curves, images, numbers and settings on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textok.config.read import to_yaml
from textok.data import ReadReport
from textok.runtime.files import atomic_write, write_text
from textok.runtime.run_folder import RunFolder
from textok.runtime.run_log import read_log
from textok.train.run_logger import RATE

CURVES = "curves.png"
SMOOTHED = 50
"""Curves with more points are drawn as running means over their SMOOTHED-th part."""


def write_report(
    folder: RunFolder, config: Any, data: str, *, not_comparable: Sequence[str] = ()
) -> None:
    """Write ``report.md`` beside its images; ``data`` is a line about what was read.

    ``not_comparable`` are metrics, as "fd", in networks that were trained against.
    """
    log = read_log(folder.root)
    sheets = sorted(folder.sheets.glob("step-*.png"))
    parts = [f"# {folder.root.resolve().name}", "", f"Data: {data}", ""]
    if log:
        draw_curves(log, folder.root / CURVES)
        parts += [_table(log), "", *_remark(log, not_comparable)]
        parts += [f"![loss curves]({CURVES})", ""]
    if sheets:
        last = sheets[-1].relative_to(folder.root).as_posix()
        parts += ["Validation pictures at the last step, averaged weights:", "", f"![]({last})", ""]
    parts += ["## Settings", "", "```yaml", to_yaml(config).rstrip(), "```", ""]
    write_text(folder.report, "\n".join(parts))


def list_bad_files(path: Path, report: ReadReport) -> None:
    """Add to ``path`` every image that was missing or unreadable, one line of key and reason."""
    lost = {**report.missing, **report.bad}
    if not lost:
        return
    lines = {f"{key}\t{' '.join(reason.split())}" for key, reason in lost.items()}
    if path.is_file():
        lines.update(path.read_text(encoding="utf-8").splitlines())
    write_text(path, "".join(f"{line}\n" for line in sorted(lines)))


def draw_curves(log: list[dict[str, Any]], target: Path) -> None:
    """One small plot for each logged scalar."""
    from matplotlib.figure import Figure

    names = [name for name in dict.fromkeys(k for line in log for k in line) if name != "step"]
    rows = -(-len(names) // 3)
    figure = Figure(figsize=(12, 2.6 * rows))
    figure.subplots_adjust(left=0.05, right=0.98, top=0.96, bottom=0.04, hspace=0.35)
    for name, axes in zip(names, figure.subplots(rows, 3, squeeze=False).flat, strict=False):
        points = [(line["step"], line[name]) for line in log if line.get(name) is not None]
        axes.plot([step for step, _ in points], _smooth([value for _, value in points]))
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in figure.axes[len(names) :]:
        axes.set_visible(False)
    with atomic_write(target) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _table(log: list[dict[str, Any]]) -> str:
    """First and last value of each scalar, and the mean speed."""
    first, last = log[0], log[-1]
    rates = [line[RATE] for line in log if line.get(RATE) is not None]
    lines = [f"| | step {first['step']} | step {last['step']} |", "|---|---|---|"]
    for name, value in last.items():
        if name not in ("step", RATE):
            lines.append(f"| {name} | {_number(first.get(name))} | {_number(value)} |")
    if rates:
        lines.append(f"| images/s, mean | | {sum(rates) / len(rates):.1f} |")
    return "\n".join(lines)


def _remark(log: list[dict[str, Any]], not_comparable: Sequence[str]) -> list[str]:
    """Which measurements say little about other models."""
    names = [f"val_{name}" for name in not_comparable]
    there = [name for name in names if any(name in line for line in log)]
    if not there:
        return []
    several = "are" if len(there) > 1 else "is"
    return [
        f"{', '.join(there)} {several} in a network that the model was trained against: not "
        "comparable with models that were not.",
        "",
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _smooth(values: list[float]) -> list[float]:
    width = max(1, len(values) // SMOOTHED)
    windows = (values[max(0, end - width) : end] for end in range(1, len(values) + 1))
    return [sum(window) / len(window) for window in windows]
