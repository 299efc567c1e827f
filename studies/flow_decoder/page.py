"""``README.md`` and the sheet of the study, made from its summary and its runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studies.flow_decoder.budgets import FEW, Decoder
from studies.flow_decoder.summary import MEAN
from studies.notes import write_noted
from studies.pairs.nested import nested_tables
from studies.pairs.pictures import newer, save_webp, shown_images
from studies.pairs.study import PAIR, Study
from studies.text_gain import Member
from textok.evaluate.markdown import markdown_table
from textok.pipeline import Reconstructor, decoding_seeds
from textok.runtime.sheet import picture_sheet

ROWS, CELL = 10, 128
COLUMNS = {
    "regression, no text": "fd_regression_none",
    "regression, caption": "fd_regression_both",
    "flow, no text": "fd_flow_none",
    "flow, caption": "fd_flow_both",
    "flow / regression": "fd_ratio",
    "gain % of regression": "caption_gain_percent_regression",
    "gain % of flow": "caption_gain_percent_flow",
}
"""Of the table of one network."""
SINGLE = {"psnr": "PSNR dB ↑", "ssim": "SSIM ↑", "lpips": "LPIPS ↓", "lpips_alex": "LPIPS-Alex ↓"}
"""Metrics of single images, where they were measured."""
Found = Mapping[str, Any]


def write_page(found: Found, out: Path, *, title: str, about: str) -> None:
    """Write ``out/README.md``; what was written by hand below its tables stays."""
    parts = [[f"# {title}", "", about], _verdicts(found)]
    parts += [_network(metric, table) for metric, table in found["networks"].items()]
    parts += [_single(found), _generators(found)]
    parts.append(["![sheet.webp](sheet.webp)"] if (out / "sheet.webp").exists() else [])
    parts.append(_nested(found, picture=(out / "nested.webp").exists()))
    parts.append(_conditions(found))
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    write_noted(out / "README.md", text)


def _verdicts(found: Found) -> list[str]:
    ratio, gain = found[f"fd_ratio_{MEAN}"], found[f"caption_gain_percent_{MEAN}"]
    if ratio is None:
        return ["- Not measured yet."]
    goals = found["goals"]
    lines = [
        f"- {found['metric']} of flow over that of regression, mean over K <= {FEW}, "
        f"{found['compared']}: {ratio:.3f}; the goal is {goals['fd_ratio']} at most: "
        f"{_reached(ratio <= goals['fd_ratio'])}."
    ]
    if gain is not None:
        goal = goals["caption_gain_percent"]
        lines.append(
            f"- The caption's gain with flow, mean over K <= {FEW}: {gain:.1f} %; the goal is "
            f"{goal} % at least: {_reached(gain >= goal)}."
        )
    return lines


def _reached(yes: bool) -> str:
    return "reached" if yes else "not reached"


def _network(metric: str, table: Found, *, level: str = "##") -> list[str]:
    counts = [*table["fd_ratio"]["by_tokens"]]
    rows = [
        [count, *(_number(table[name]["by_tokens"][count]) for name in COLUMNS.values())]
        for count in counts
    ]
    rows.append([f"mean, K <= {FEW}", *(_number(table[name][MEAN]) for name in COLUMNS.values())])
    return [f"{level} {metric}", "", *markdown_table(["tokens", *COLUMNS], rows)]


def _single(found: Found) -> list[str]:
    """Metrics of single images with the captions that a tokenizer is judged by."""
    rows = []
    for decoder, each in found["decoders"].items():
        for entry in each["tokenizers"]:
            kinds = entry["captions"]
            numbers = kinds.get("true", kinds.get("absent", {}))
            values = [numbers[name]["mean"] if name in numbers else None for name in SINGLE]
            kind = [decoder, str(entry["tokens"]), entry["text"], str(entry["seed"])]
            rows.append([*kind, *(_number(value, 3) for value in values)])
    heads = ["decoder", "tokens", "text", "seed", *SINGLE.values()]
    return ["## Single images", "", *markdown_table(heads, rows)] if rows else []


def _generators(found: Found) -> list[str]:
    rows = []
    for decoder, each in found["decoders"].items():
        for entry in each["generators"]:
            kind = [decoder, str(entry["tokens"]), entry["text"], str(entry["seed"])]
            distances = [entry["frechet"].get(metric) for metric in found["networks"]]
            shares = [entry["precision"], entry["recall"]]
            rows.append([*kind, *map(_number, distances), *(_number(one, 3) for one in shares)])
    heads = ["decoder", "tokens", "text", "seed", *(f"{m} ↓" for m in found["networks"])]
    table = markdown_table([*heads, "precision ↑", "recall ↑"], rows)
    return ["## Pictures drawn by a DiT", "", *table] if rows else []


def _nested(found: Found, *, picture: bool) -> list[str]:
    """Both decoders side by side, then what the caption is worth to each at each K."""
    lines = ["![nested.webp](nested.webp)", ""] if picture else []
    for metric, table in found["nested_networks"].items():
        lines += [*_network(metric, table, level="###"), ""]
    for decoder, pair in (found["nested"] or {}).items():
        tables = nested_tables(pair)
        lines += [f"### {decoder.capitalize()}, with the caption and without", "", *tables]
    return ["## Nested tokenizers", "", *lines] if lines else []


def _conditions(found: Found) -> list[str]:
    every = [one for each in found["decoders"].values() for one in each["tokenizers"]]
    seen = sorted({entry["images_seen"] for entry in every})
    hardware = found["hardware"] or {}
    lines = [f"- images seen by each tokenizer: {', '.join(map(str, seen))}"] if seen else []
    if hardware:
        machine = hardware.get("gpu") or hardware.get("cpu")
        lines.append(f"- made on: {machine}, {hardware['cores']} cores, torch {hardware['torch']}")
    commands = [f"- `{command}`" for command in found["commands"]]
    last = ["", "All numbers: [summary.json](summary.json)."]
    return ["## How it was made", "", *lines, *commands, *last]


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def write_sheet(
    studies: Mapping[Decoder, Study], tokens: int, out: Path, *, rows: int = ROWS
) -> None:
    """``out/sheet.webp``: test pictures by all four tokenizers of K, once these are trained.

    Flow with the caption twice, from other noise. A sheet that is newer than they stays.
    """
    seed = next(iter(studies.values())).budget.seeds[0]
    runs = {
        (decoder, text): study.runs / Member(tokens=tokens, text=text, seed=seed).name
        for decoder, study in studies.items()
        for text in PAIR
    }
    trained = [run / "report.md" for run in runs.values()]
    if not all(report.exists() for report in trained) or newer(out / "sheet.webp", trained):
        return
    study = studies["flow"]
    models = {
        kind: Reconstructor.from_pretrained(run / "model", text_cache=study.shared / "text-cache")
        for kind, run in runs.items()
    }
    size = models["flow", "none"].config.image_size
    keys, pictures, captions = shown_images(study.data, size=size, count=rows)
    columns = {"original": pictures}
    for decoder in studies:
        for text in PAIR:
            given = captions if text == "both" else None
            name = f"{decoder}, {'caption' if given else 'no text'}"
            model = models[decoder, text]
            columns[name] = model.reconstruct(pictures, given, seeds=decoding_seeds(keys))
    again = decoding_seeds(keys, draw=1)
    columns["the same, other noise"] = models["flow", "both"].reconstruct(
        pictures, captions, seeds=again
    )
    sheet = picture_sheet(columns, captions, cell=CELL, title=f"{tokens} tokens")
    save_webp(sheet, out / "sheet.webp")
