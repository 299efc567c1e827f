"""``README.md`` of a study, made from its summary; what was written below the tables stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.notes import write_noted
from textok.evaluate.markdown import markdown_table

UNKNOWN = "–"
HEADINGS = {
    "lpips": "LPIPS ↓",
    "lpips_alex": "LPIPS-Alex ↓",
    "perceptual": "perceptual ↓",
    "psnr": "PSNR dB ↑",
    "ssim": "SSIM ↑",
}
"""Of the metrics of single images, in the order of the table."""
DRAWN = {
    "precision": "precision ↑",
    "recall": "recall ↑",
    "class_accuracy": "class accuracy ↑",
    "retrieval_at_1": "retrieval@1 ↑",
    "nearer_than_99_percent_of_real": "nearer to a training picture than 99 % of real ones",
}
"""Of drawn pictures, shares from 0 to 1."""
TRAINED = "\\* in a network that these tokenizers were trained against: no verdict."
Found = Mapping[str, Any]


def write_page(found: Found, out: Path, *, title: str, about: str) -> None:
    """Write ``out/README.md``."""
    text = page(found, title=title, about=about, pictures=_pictures(out))
    write_noted(out / "README.md", text)


def page(found: Found, *, title: str, about: str, pictures: Sequence[str] = ()) -> str:
    """The page as Markdown."""
    shown = (
        [""],
        _verdicts(found),
        gain_table(found),
        tokenizer_table(found),
        generator_table(found),
        [f"![{name}]({name})" for name in pictures],
        _conditions(found),
    )
    parts = [[f"# {title}", "", about], *(part for part in shown if any(part))]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _pictures(out: Path) -> list[str]:
    names = ("sheet.webp", "curves.png", "prompts.webp")
    return [name for name in names if (out / name).exists()]


def _verdicts(found: Found) -> list[str]:
    """The two gains beside the paper's."""
    lines = []
    for what, of in (("tokenizer", "reconstructions"), ("generator", "drawn pictures")):
        value, goal = found[f"{what}_fd_gain_percent_mean"], found["goals_percent"][what]
        if value is None:
            lines.append(f"- What the caption in the tokenizer is worth to {of}: not measured.")
            continue
        reached = "reached" if value >= goal else "not reached"
        lines.append(
            f"- {found['metric']} of {of} is {_change(value)} on average with the caption in "
            f"the tokenizer; the paper's mean on ImageNet is {goal} %: {reached}."
        )
    return lines


def gain_table(found: Found) -> list[str]:
    """Gains in percent by K, one column a network; empty before there is a pair."""
    gained, double = found["tokenizer_fd_gain_percent"], found["gain_percent_over_twice_the_tokens"]
    metrics = list(gained)
    heads = ["tokens", *(f"{metric} gain %" for metric in metrics)]
    heads += [f"over 2K tokens without text, {metric} %" for metric in metrics]
    rows = []
    for count in gained[metrics[0]]["by_tokens"] if metrics else ():
        by_tokens = [gained[metric]["by_tokens"][count] for metric in metrics]
        cells = [_seeds(each["mean"], each["by_seed"].values()) for each in by_tokens]
        cells += [_number(double[metric].get(count), 1) for metric in metrics]
        rows.append([count, *cells])
    for side in ("encoder", "decoder"):
        values = [found["one_sided_gain_percent"][metric][side] for metric in metrics]
        if any(value is not None for value in values):
            rows.append(
                [f"text in the {side} alone", *_numbers(values, 1), *[UNKNOWN] * len(metrics)]
            )
    if not rows:
        return []
    means = [gained[metric]["mean"] for metric in metrics]
    rows.append(["mean", *_numbers(means, 1), *[UNKNOWN] * len(metrics)])
    return markdown_table(heads, rows)


def tokenizer_table(found: Found) -> list[str]:
    """Every tokenizer with every kind of caption, and PCA with as many numbers."""
    entries = found["tokenizers"]
    if not entries:
        return []
    metrics = list(found["tokenizer_fd_gain_percent"])
    first = next(iter(entries[0]["captions"].values()))
    shown = [name for name in HEADINGS if name in first]
    trained = {name for entry in entries for name in entry["not_comparable"]}
    columns = {metric: f"{metric} ↓" for metric in metrics}
    columns |= {name: heading for name, heading in HEADINGS.items() if name in first}
    measured = [f"{head} *" if name in trained else head for name, head in columns.items()]
    rows, pca = [], {}
    for entry in sorted(entries, key=lambda one: (one["tokens"], one["seed"])):
        passed = {True: "passed", False: "failed", None: "not tested"}[entry["gate_passed"]]
        for source, numbers in entry["captions"].items():
            cells = [str(entry["tokens"]), entry["text"], str(entry["seed"]), source]
            rows.append([*cells, *_row(numbers, metrics, shown), passed])
        pca[entry["tokens"]] = entry["pca"]
    for count, numbers in pca.items():
        if numbers is not None:
            cells = [str(count), "PCA", UNKNOWN, UNKNOWN]
            rows.append([*cells, *_row(numbers, metrics, shown), UNKNOWN])
    heads = ["tokens", "text", "seed", "captions", *measured, "PCA gate"]
    lines = markdown_table(heads, rows)
    return [*lines, "", TRAINED] if trained & columns.keys() else lines


def _row(numbers: Mapping[str, Any], metrics: Sequence[str], shown: Sequence[str]) -> list[str]:
    cells = [_number(numbers["frechet"].get(metric), 2) for metric in metrics]
    for name in shown:
        value, digits = numbers[name], 2 if name == "psnr" else 4
        low, high = (_number(value[end], digits) for end in ("low", "high"))
        cells.append(f"{_number(value['mean'], digits)} ({low}–{high})")
    return cells


def generator_table(found: Found) -> list[str]:
    """Every generator, and the gain between those of a pair."""
    entries = found["generators"]
    if not entries:
        return []
    metrics = list(entries[0]["frechet"])
    shown = [name for name in DRAWN if any(entry[name] is not None for entry in entries)]
    heads = ["draws by", "tokens", "text in the tokenizer", "seed"]
    heads += [f"g{metric} ↓" for metric in metrics] + [DRAWN[name] for name in shown]
    rows = [
        [
            *(entry["draws_by"], str(entry["tokens"]), entry["text"], str(entry["seed"])),
            *(_number(entry["frechet"][metric], 2) for metric in metrics),
            *(_number(_mean_of(entry[name]), 3) for name in shown),
        ]
        for entry in entries
    ]
    lines = markdown_table(heads, rows)
    for metric, each in found["generator_fd_gain_percent"].items():
        if each["mean"] is not None:
            change = _change(each["mean"])
            lines += ["", f"g{metric} with the caption in the tokenizer: {change}."]
    return lines


def _conditions(found: Found) -> list[str]:
    """What the numbers hold for."""
    hardware = found["hardware"] or {}
    machine = hardware.get("gpu") or hardware.get("cpu")
    facts = {
        "images seen by each tokenizer": found["images_seen"],
        "rows seen by each generator": found["rows_seen"],
        "test pictures measured": found["measured_images"],
        "tokenizers were trained in the features of": found["trained_in"],
        "seeds": ", ".join(map(str, found["seeds"])) or None,
        "made on": machine and f"{machine}, {hardware['cores']} cores, torch {hardware['torch']}",
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value is not None]
    commands = [f"- `{command}`" for command in found["commands"]]
    return [
        "## How it was made",
        "",
        *lines,
        *commands,
        "",
        "All numbers: [summary.json](summary.json).",
    ]


def _mean_of(value: Any) -> float | None:
    """Of an interval, or the number itself."""
    return value["mean"] if isinstance(value, Mapping) else value


def _change(gain: float) -> str:
    return f"{abs(gain):.1f} % {'higher' if gain < 0 else 'lower'}"


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def _numbers(values: Sequence[float | None], digits: int) -> list[str]:
    return [_number(value, digits) for value in values]


def _seeds(mean: float | None, each: Any) -> str:
    known = [value for value in each if value is not None]
    if len(known) < 2:
        return _number(mean, 1)
    return f"{_number(mean, 1)} ({min(known):.1f} to {max(known):.1f})"
