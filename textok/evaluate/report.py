"""What an evaluation found, as JSON and as a table."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textok.config.networks import UNKNOWN
from textok.evaluate.judges import marked, remarks
from textok.evaluate.markdown import markdown_bullets, markdown_table
from textok.metrics.interval import Interval
from textok.metrics.kernel_distance import KernelDistance, kernel_metric, thousandths
from textok.runtime.files import write_text
from textok.runtime.untrusted import regular_file

HEADINGS = {
    "psnr": "PSNR dB ↑",
    "psnr_of_mean": "PSNR of the mean dB ↑",
    "ssim": "SSIM ↑",
    "lpips": "LPIPS ↓",
    "lpips_alex": "LPIPS-Alex ↓",
    "perceptual": "perceptual ↓",
}
"""Metrics of single images, in the order of the table."""


@dataclass(frozen=True, kw_only=True)
class CodebookUse:
    """How much of its codebook a discrete tokenizer makes use of."""

    share: float
    """Of the codes that occur in any image."""
    perplexity: float
    """exp of the entropy of their frequencies: as many codes, used alike, say as much."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of reconstructing every image, and how good it was."""

    source: str
    """A caption mode, or ``pca``."""
    tokens: int | None
    """k latent tokens an image; None for PCA."""
    floats: int
    """Numbers an image of 16 bits each: k x C, or as many as hold the codes of a discrete one."""
    bits: int
    """16 for each float, log2 V for each code."""
    frechet: float
    metrics: dict[str, Interval]
    other_frechet: dict[str, float] = field(default_factory=dict)
    """In the other feature networks, by the name of the distance."""
    codebook: CodebookUse | None = None
    """Of a discrete tokenizer."""
    kernel: dict[str, KernelDistance] = field(default_factory=dict)
    """By its name, as in ``KID``, where it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether a tokenizer passes PCA with as many floats, in PSNR and in Frechet distance.

    One that samples passes by the distance alone: a sample commits to what its tokens leave open,
    where the mean, which PCA gives, has the best PSNR.
    """

    tokens: int
    floats: int
    psnr_gain: float
    """dB over PCA."""
    frechet_ratio: float
    """Frechet distance as a share of PCA's."""
    samples: bool = False

    @property
    def passed(self) -> bool:
        return (self.samples or self.psnr_gain > 0) and self.frechet_ratio < 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """An evaluation with everything needed to repeat it."""

    model: str
    settings: dict[str, Any]
    """The tokenizer's configuration."""
    metric: str
    """Name of the Frechet distance that it is judged by."""
    protocol: dict[str, Any]
    rows: list[Row]
    warnings: list[str]
    trained_with: list[str] = field(default_factory=lambda: [UNKNOWN])
    """Perceptual losses of the tokenizer's training."""
    not_comparable: list[str] = field(default_factory=list)
    """Frechet distances and metrics in networks that it was trained against."""

    def row(self, source: str, floats: int) -> Row | None:
        """The row of a source at a budget, where there is one."""
        for row in self.rows:
            if row.source == source and row.floats == floats:
                return row
        return None

    @property
    def judged(self) -> list[Row]:
        """The rows a tokenizer is judged by: its true captions, or absent ones if it reads none."""
        reads = any(row.source == "true" for row in self.rows)
        return [row for row in self.rows if row.source == ("true" if reads else "absent")]

    @property
    def gates(self) -> list[Gate]:
        """The verdict at every budget that has a PCA row."""
        pairs = [(row, self.row("pca", row.floats)) for row in self.judged]
        return [
            Gate(
                tokens=row.tokens,
                floats=row.floats,
                psnr_gain=row.metrics["psnr"].mean - pca.metrics["psnr"].mean,
                frechet_ratio=row.frechet / pca.frechet if pca.frechet else float("inf"),
                samples=self.settings.get("decoding") == "flow",
            )
            for row, pca in pairs
            if pca is not None and row.tokens is not None
        ]

    def to_json(self) -> str:
        gates = [dataclasses.asdict(gate) | {"passed": gate.passed} for gate in self.gates]
        content = dataclasses.asdict(self) | {"gates": gates}
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def to_markdown(self) -> str:
        """The table, the verdict against PCA, warnings and protocol."""
        lines = [f"# Reconstruction by `{self.model}`", "", *report_table(self), ""]
        lines += remarks(self.trained_with, self.not_comparable)
        for gate in self.gates:
            verdict = "passed" if gate.passed else "**not passed**: undertrained, compare nothing"
            by = ", by the distance as it samples" if gate.samples else ""
            lines.append(
                f"- Gate against PCA at {gate.floats} floats{by}: {verdict} "
                f"(PSNR {gate.psnr_gain:+.2f} dB, {self.metric} x {gate.frechet_ratio:.3f})"
            )
        lines += [f"- Warning: {warning}" for warning in self.warnings]
        lines += ["", "## Protocol", "", *markdown_bullets(self.protocol)]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``report.json`` and ``report.md`` into ``folder``."""
        write_text(folder / "report.json", self.to_json())
        write_text(folder / "report.md", self.to_markdown())


def read_report(path: Path) -> Report:
    """The report in a ``report.json``. Raises ValueError where the file is something else."""
    try:
        content = json.loads(regular_file(path).read_text(encoding="utf-8"))
        content.pop("gates")
        rows = []
        for row in content.pop("rows"):
            metrics = {name: Interval(**value) for name, value in row.pop("metrics").items()}
            use = row.pop("codebook", None)
            codebook = None if use is None else CodebookUse(**use)
            kernel = {n: KernelDistance(**v) for n, v in row.pop("kernel", {}).items()}
            rows.append(Row(**row, metrics=metrics, codebook=codebook, kernel=kernel))
        return Report(**content, rows=rows)
    # A ValueError is text that is no UTF-8 or no JSON.
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not a report of `textok evaluate` ({error!r})") from error


def report_table(report: Report) -> list[str]:
    """Lines of a Markdown table, one row a way of reconstructing."""
    shown = [name for name in HEADINGS if any(name in row.metrics for row in report.rows)]
    distances = [report.metric, *dict.fromkeys(n for r in report.rows for n in r.other_frechet)]
    kernels = list(dict.fromkeys(name for row in report.rows for name in row.kernel))
    columns = {name: f"{name} ↓" for name in distances}
    columns |= {name: f"1000 {name} ↓" for name in kernels}
    columns |= {name: HEADINGS[name] for name in shown}
    flagged = [*report.not_comparable, *map(kernel_metric, report.not_comparable)]
    heads = ["tokens", "captions", *marked(columns, flagged).values()]
    discrete = any(row.codebook is not None for row in report.rows)
    heads += ["codes used ↑", "perplexity ↑"] if discrete else []
    table = []
    for row in report.rows:
        values = [
            "–" if value is None else _interval(value, 2 if name.startswith("psnr") else 4)
            for name in shown
            for value in [row.metrics.get(name)]
        ]
        if discrete:
            values += _use(row.codebook)
        tokens = "PCA" if row.tokens is None else str(row.tokens)
        captions = "–" if row.source == "pca" else row.source
        counts = [str(row.floats), str(row.bits)]
        measured = {report.metric: row.frechet} | row.other_frechet
        found = [f"{measured[name]:.3f}" for name in distances]
        found += [thousandths(row.kernel[name]) for name in kernels]
        table.append([tokens, captions, *found, *values, *counts])
    return markdown_table([*heads, "floats", "bits"], table)


def _interval(value: Interval, digits: int) -> str:
    return f"{value.mean:.{digits}f} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def _use(codebook: CodebookUse | None) -> list[str]:
    if codebook is None:
        return ["–", "–"]
    return [f"{100 * codebook.share:.1f} %", f"{codebook.perplexity:.1f}"]
