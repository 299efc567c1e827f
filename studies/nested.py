"""What it costs at all K tokens to serve every budget up to K from one tokenizer.

Two tokenizers of 16 tokens, trained alike but for ``nested``, on held-out concepts; the nested one
also at fewer tokens, each beside PCA with as many numbers.

    python -m studies.nested --data data/pictograms-64 --runs runs/study
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studies.command import run_command
from studies.steps import JUDGE, Step, run_steps, words
from textok.evaluate.markdown import markdown_table
from textok.evaluate.report import Report, read_report
from textok.runtime.files import write_text

TOKENS = 16
BUDGETS = (2, 4, 8, 16)
LIMIT = 5.0
"""Percent of FD that nesting may cost at all tokens, for the preset pictograms-64 to have it."""


def steps_of(nested: bool, data: Path, runs: Path) -> Iterator[Step]:
    """Train one of the two, then measure it."""
    run = runs / f"nested-{str(nested).lower()}-s0"
    train = words("train", "tokenizer", "study-64", "--tokenizer.num-tokens", TOKENS)
    kind = words("--tokenizer.nested", str(nested).lower(), "--run.seed", 0, "--run.out", run)
    place = words("--data.path", data, "--text.cache", runs / "text-cache")
    yield Step(command=(*train, *kind, *place), done=run / "report.md")
    measure = words("evaluate", "reconstruction", run / "model", data, "--split", "test", *JUDGE)
    rows = words(
        "--out", run / "test", "--caption-modes", "true", "--pca", "--pca-cache", runs / "pca"
    )
    budgets = words("--num-tokens", *BUDGETS) if nested else ()
    cache = words("--text-cache", runs / "text-cache")
    yield Step(command=(*measure, *rows, *cache, *budgets), done=run / "test" / "report.json")


def table(plain: Report, nested: Report) -> str:
    """Markdown: each budget of the nested tokenizer, the plain one, PCA, and the verdict."""
    rows = []
    for name, report in (("nested", nested), ("plain", plain)):
        for row in report.judged:
            pca = report.row("pca", row.floats)
            assert pca is not None
            values = (row.frechet, pca.frechet, row.metrics["psnr"].mean, pca.metrics["psnr"].mean)
            cells = [
                f"{value:.{digits}f}" for value, digits in zip(values, (1, 1, 2, 2), strict=True)
            ]
            rows.append([name, str(row.tokens), *cells])
    heads = ["tokenizer", "tokens", f"{plain.metric} ↓", "PCA's", "PSNR dB ↑", "PCA's"]
    cost = 100 * (full(nested) / full(plain) - 1)
    verdict = "under" if cost < LIMIT else "not under"
    return "\n".join(
        [
            *markdown_table(heads, rows),
            "",
            f"At all {TOKENS} tokens nesting costs {cost:.1f} % of {plain.metric}, {verdict} the "
            f"{LIMIT:g} % that the preset pictograms-64 may pay for it.",
            "",
        ]
    )


def full(report: Report) -> float:
    """The distance at all tokens."""
    return next(row.frechet for row in report.judged if row.tokens == TOKENS)


def main(
    *,
    data: Path = Path("data/pictograms-64"),
    runs: Path = Path("runs/study"),
    out: Path = Path("docs/results/nested"),
) -> None:
    """Train and measure what is not done yet, then write the table.

    Args:
        data: The pictograms at 64 px.
        runs: Folder of the runs.
        out: Folder of the table.
    """
    run_steps([step for nested in (False, True) for step in steps_of(nested, data, runs)])
    reports = [
        read_report(runs / f"nested-{kind}-s0/test/report.json") for kind in ("false", "true")
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "table.md", table(*reports))
    print(table(*reports))


if __name__ == "__main__":
    run_command(main, "studies.nested")
