"""Reports of several tokenizers side by side: places of the text, token counts, seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from textok.config.check import require
from textok.evaluate.judges import FOOTNOTE, marked
from textok.evaluate.markdown import markdown_table, mean_and_range
from textok.evaluate.plot import plot_frechet
from textok.evaluate.protocol import describe_precision
from textok.evaluate.reference import REFERENCE
from textok.evaluate.report import HEADINGS, Report, Row, read_report
from textok.runtime.files import write_text
from textok.runtime.own_folder import OwnFolder

SAME = (
    "data",
    "split",
    "where",
    "images",
    "selection",
    "crop",
    "precision",
    "feature network",
    REFERENCE,
)
"""Entries of the protocol without whose agreement no two numbers compare."""
WHERE_BOTH = ("decoding",)
"""Entries that some reports lack, here those of decoders that regress."""
USUAL = {"precision": describe_precision("fp32")}
"""What holds for reports that do not say: those of older versions."""
BASELINE = "none"
SAMPLING = "sampling"
"""Settings that the protocol tells, as ``decoding``."""

Key = tuple[str, int]
"""Where the text goes in, with what else tells kinds apart, and the number of tokens."""
Seeds = Mapping[Key, Sequence[Row]]
"""The judged rows of each kind of tokenizer, one a seed."""


def compare_reports(paths: Sequence[Path], out: Path) -> str:
    """Write ``out/comparison.md`` and ``comparison.png`` from ``report.json`` files; the Markdown.

    Reports of equal text place, bottleneck, output, decoding and token count are seeds of one kind
    of tokenizer, paired with the baseline's (no text, continuous, regression) in the order given.
    Where their models differ otherwise a line says so. Raises ValueError for reports of different
    protocols, and for one that comes twice.
    """
    twice = sorted({str(path) for path in paths if paths.count(path) > 1})
    require(not twice, f"{', '.join(twice)}: named twice, which makes no two seeds")
    folder = OwnFolder(path=out, kind="a comparison", setting="out", made_before=_was_a_comparison)
    folder.check()
    reports = [read_report(path) for path in paths]
    _check_protocols(paths, reports)
    seeds: dict[Key, list[Row]] = defaultdict(list)
    for report in reports:
        for row in report.judged:
            assert row.tokens is not None
            seeds[_kind(report), row.tokens].append(row)
    pca = {row.floats: row for report in reports for row in report.rows if row.source == "pca"}
    failed = {
        (_kind(report), gate.tokens)
        for report in reports
        for gate in report.gates
        if not gate.passed
    }
    metric = reports[0].metric
    flagged = {name for report in reports for name in report.not_comparable}
    parts = [
        _quality_table(metric, seeds, pca, failed, flagged),
        _no_seeds(reports),
        _gain_table(metric, seeds),
        _caption_table(metric, reports),
    ]
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    folder.claim()
    write_text(out / "comparison.md", text)
    plot_frechet(metric, {key: [row.frechet for row in rows] for key, rows in seeds.items()}, out)
    return text


def _was_a_comparison(folder: Path) -> bool:
    return (folder / "comparison.md").is_file()


def _no_seeds(reports: Sequence[Report]) -> list[str]:
    """A line for each kind of tokenizer whose reports are of different models, not seeds of one."""
    kinds: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for report in reports:
        for row in report.judged:
            kinds[f"{_kind(report)}, {row.tokens} tokens"].append(dict(_leaves(report.settings)))
    lines = []
    for name, several in kinds.items():
        known = [key for key in several[0] if all(key in settings for settings in several)]
        apart = [key for key in known if any(one[key] != several[0][key] for one in several)]
        if apart:
            lines.append(f"{name}: not seeds of one model, they differ in {', '.join(apart)}.")
    return lines


def _leaves(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Those that tell models of as many tokens apart, by dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.") if name != SAMPLING else ()
        elif name != "num_tokens":
            yield prefix + name, value


def frechet_gains(seeds: Seeds, key: Key) -> list[float]:
    """1 - FD / FD of the baseline at the same token count, seed by seed; none without baseline.

    Where the numbers of seeds differ, one gain of the means.
    """
    own = [row.frechet for row in seeds.get(key, ())]
    base = [row.frechet for row in seeds.get((BASELINE, key[1]), ())]
    if not own or not base or key[0] == BASELINE:
        return []
    if len(own) != len(base):
        return [1 - _mean(own) / _mean(base)]
    return [1 - one / other for one, other in zip(own, base, strict=True)]


def _quality_table(
    metric: str, seeds: Seeds, pca: Mapping[int, Row], failed: set[Key], flagged: set[str]
) -> list[str]:
    every = [row for rows in seeds.values() for row in rows]
    shown = [name for name in HEADINGS if all(name in row.metrics for row in every)]
    whole = [*every, *pca.values()]
    others = [n for n in whole[0].other_frechet if all(n in row.other_frechet for row in whole)]
    table = []
    for text, tokens in sorted(seeds, key=lambda key: (key[1], key[0] != BASELINE, key[0])):
        rows = seeds[text, tokens]
        verdict = "failed" if (text, tokens) in failed else "passed"
        values = [
            mean_and_range([row.metrics[name].mean for row in rows], _digits(name))
            for name in shown
        ]
        table.append(
            [
                str(tokens),
                text,
                str(len(rows)),
                mean_and_range([row.frechet for row in rows], 3),
                *(mean_and_range([row.other_frechet[name] for row in rows], 3) for name in others),
                *values,
                verdict if rows[0].floats in pca else "not tested",
            ]
        )
    for floats, row in sorted(pca.items()):
        values = [f"{row.metrics[name].mean:.{_digits(name)}f}" for name in shown]
        distances = [row.frechet, *(row.other_frechet[name] for name in others)]
        values = [*(f"{distance:.3f}" for distance in distances), *values]
        table.append([f"PCA, {floats} floats", "–", "–", *values, "–"])
    names = {name: f"{name} ↓" for name in (metric, *others)}
    headings = marked(names | {name: HEADINGS[name] for name in shown}, flagged)
    lines = markdown_table(["tokens", "text", "seeds", *headings.values(), "gate"], table)
    return [*lines, "", FOOTNOTE] if flagged & headings.keys() else lines


def _gain_table(metric: str, seeds: Seeds) -> list[str]:
    """Relative gain over the baseline, and whether K tokens with text reach 2K without."""
    table = []
    every: dict[str, list[float]] = defaultdict(list)
    for text, tokens in sorted(seeds):
        gains = [100 * gain for gain in frechet_gains(seeds, (text, tokens))]
        if not gains:
            continue
        every[text].append(_mean(gains))
        double = [row.frechet for row in seeds.get((BASELINE, 2 * tokens), ())]
        own = _mean([row.frechet for row in seeds[text, tokens]])
        reached = ("yes" if own <= _mean(double) else "no") if double else "–"
        table.append([str(tokens), text, mean_and_range(gains, 1), reached])
    table += [["mean", text, f"{_mean(gains):.1f}", "–"] for text, gains in every.items()]
    heads = ["tokens", "text", f"{metric} gain %", "no worse than the baseline at 2K"]
    return markdown_table(heads, table) if table else []


def _caption_table(metric: str, reports: Sequence[Report]) -> list[str]:
    """What other captions do to the tokenizers that read them."""
    values: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for report in reports:
        for row in report.rows:
            if row.tokens is not None and report.settings["text"] != BASELINE:
                values[_kind(report), row.tokens, row.source].append(row.frechet)
    sources = list(dict.fromkeys(source for _, _, source in values))
    table = []
    for text, tokens in sorted({key[:2] for key in values}):
        found = [values.get((text, tokens, source)) for source in sources]
        cells = [mean_and_range(each, 3) if each else "–" for each in found]
        table.append([str(tokens), text, *cells])
    heads = ["tokens", "text", *(f"{metric}, {source} captions" for source in sources)]
    return markdown_table(heads, table) if table else []


def _kind(report: Report) -> str:
    """As in ``both``, ``none, vq``, ``none, vq, codes`` or ``both, flow``."""
    settings = report.settings
    discrete = ["vq"] if settings.get("bottleneck") == "vq" else []
    by_codes = ["codes"] if settings.get("output") == "codes" else []
    by_flow = ["flow"] if settings.get("decoding") == "flow" else []
    return ", ".join([settings["text"], *discrete, *by_codes, *by_flow])


def _check_protocols(paths: Sequence[Path], reports: Sequence[Report]) -> None:
    if not reports:
        raise ValueError("nothing to compare: give report.json files")
    first: dict[str, tuple[Path, object]] = {}
    for path, report in zip(paths, reports, strict=True):
        for name, here in _protocol(report).items():
            where, there = first.setdefault(name, (path, here))
            if here != there:
                raise ValueError(
                    f"{path}: {name} is {here!r}, but {there!r} in {where}: such numbers do not "
                    "compare; evaluate both by one protocol"
                )


def _protocol(report: Report) -> dict[str, object]:
    """What has to agree with other reports that have it too."""
    found = {name: report.protocol.get(name, USUAL.get(name)) for name in SAME}
    found |= {name: report.protocol[name] for name in WHERE_BOTH if name in report.protocol}
    return found | dict(report.protocol.get("other feature networks", {}))


def _digits(name: str) -> int:
    return 2 if name.startswith("psnr") else 4


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
