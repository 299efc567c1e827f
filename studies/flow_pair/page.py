"""``summary.json``, ``README.md`` and pictures of a pair, from what is complete of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studies.drawing import reports_in, retrieval
from studies.flow_pair.steps import BATCH, Drawing, Pair, Place
from studies.notes import write_noted
from studies.pairs.found import Entry
from studies.pairs.gains import gain
from studies.pairs.nested import GUIDANCE, GUIDED, nested_entry, nested_tables
from studies.pairs.pictures import newer, save_webp, shown_images
from studies.pairs.study import PAIR
from studies.pairs.summary import read_hardware, write_summary
from textok.config import DecodingConfig
from textok.evaluate import GenerationReport
from textok.evaluate.markdown import markdown_table
from textok.pipeline import Reconstructor, decoding_seeds
from textok.runtime.sheet import picture_sheet

ROWS, CELL = 10, 96
SHOWN = (0, 1, 4)
"""Numbers of tokens on the sheet."""
MEASURES = {
    "precision": "precision ↑",
    "recall": "recall ↑",
    "retrieval_at_1": "retrieval@1 ↑",
    "class_accuracy": "class accuracy ↑",
    "nearer_than_99_percent_of_real": "nearer to a training image than 99 % of real ones",
}


def write_results(pair: Pair, place: Place, out: Path) -> None:
    """All of them; what is written by hand in ``README.md`` stays."""
    out.mkdir(parents=True, exist_ok=True)
    entry = nested_entry({text: place.runs / text for text in PAIR})
    generated = generated_entries(pair, place)
    _write_sheet(pair, place, out)
    _copy_prompts(pair, place, out)
    command = f"python -m studies.{pair.name.replace('-', '_')}"
    found = {
        "nested": entry,
        "generated": generated,
        "generator_gain_percent": generator_gain(generated),
        "images_seen": place.steps * BATCH,
        "measured_images": place.limit,
        "hardware": read_hardware(place.runs),
        "commands": [command],
    }
    write_summary(found, out)
    made = f"{place.steps * BATCH:,} images each, {place.limit} test images, one seed: `{command}`"
    lines = [f"# {pair.title}", "", pair.about, "", made, ""]
    lines += _picture(out, "sheet.webp")
    lines += nested_tables(entry) or ["- Not measured yet."]
    lines += _generated(pair, found)
    lines += [*_picture(out, "prompts.webp"), "All numbers: [summary.json](summary.json)."]
    write_noted(out / "README.md", "\n".join(lines) + "\n")


def _picture(out: Path, name: str) -> list[str]:
    return [f"![{name}]({name})", ""] if (out / name).exists() else []


def generated_entries(pair: Pair, place: Place) -> list[Entry]:
    """What was measured of each generator's images, by how they were decoded."""
    entries = []
    for name, drawing in pair.generators.items():
        reports = reports_in({way: place.runs / name / way for way in drawing.ways})
        for way, report in reports.items():
            entries.append(_entry(name, drawing, drawing.ways[way], report))
    return entries


def _entry(name: str, drawing: Drawing, scale: int, report: GenerationReport) -> Entry:
    scores = report.scores
    accuracy, copies = scores.class_accuracy, scores.memorisation
    return {
        "generator": name,
        "preset": drawing.preset,
        "text": drawing.text,
        "caption_guidance": scale,
        "frechet": {report.metric: scores.frechet, **scores.other_frechet},
        "precision": scores.manifold.precision,
        "recall": scores.manifold.recall,
        "retrieval_at_1": retrieval(scores),
        "class_accuracy": accuracy and accuracy.drawn.mean,
        "class_accuracy_of_real_images": accuracy and accuracy.real.mean,
        "nearer_than_99_percent_of_real": copies and copies.closer,
    }


def generator_gain(entries: Sequence[Entry]) -> dict[str, dict[str, float | None]]:
    """How much lower each distance is with captions in the tokenizer, of the same generator.

    By guidance on the caption in decoding; empty where there is none on one without captions.
    """
    without = {one["preset"]: one["frechet"] for one in entries if one["text"] == "none"}
    return {
        str(one["caption_guidance"]): {
            metric: gain(without[one["preset"]].get(metric), distance)
            for metric, distance in one["frechet"].items()
        }
        for one in entries
        if one["text"] == "both" and one["preset"] in without
    }


def _generated(pair: Pair, found: Mapping[str, Any]) -> list[str]:
    """Lines of a table, and the gain by the caption."""
    entries: Sequence[Entry] = found["generated"]
    if not entries:
        return []
    shown = [name for name in MEASURES if any(entry[name] is not None for entry in entries)]
    rows = []
    for entry in entries:
        cells = [entry["generator"], entry["text"], str(entry["caption_guidance"])]
        shares = ("–" if entry[name] is None else f"{entry[name]:.3f}" for name in shown)
        rows.append([*cells, *(f"{value:.2f}" for value in entry["frechet"].values()), *shares])
    heads = ["generator", "text in the tokenizer", "guidance on the caption, in decoding"]
    heads += [f"g{name} ↓" for name in entries[0]["frechet"]]
    lines = [pair.drawn, "", *markdown_table([*heads, *(MEASURES[name] for name in shown)], rows)]
    for scale, gains in found["generator_gain_percent"].items():
        told = ", ".join(f"g{name} {value:.1f} %" for name, value in gains.items())
        lines += ["", f"Lower with the caption in the tokenizer, guidance {scale}: {told}."]
    return [*lines, ""]


def _copy_prompts(pair: Pair, place: Place, out: Path) -> None:
    for name, drawing in pair.generators.items():
        sheet = place.runs / name / GUIDED / "prompts" / "sheet.png"
        if drawing.prompts and sheet.exists():
            save_webp(sheet, out / "prompts.webp")


def _write_sheet(pair: Pair, place: Place, out: Path) -> None:
    """``out/sheet.webp``, once both are trained: few tokens without captions and with them.

    One that is newer than they stays.
    """
    runs = {text: place.runs / text for text in PAIR}
    trained = [run / "report.md" for run in runs.values()]
    if not all(report.exists() for report in trained) or newer(out / "sheet.webp", trained):
        return
    none, both = (
        Reconstructor.from_pretrained(run / "model", text_cache=place.runs / "text-cache")
        for run in runs.values()
    )
    size = none.config.image_size
    keys, pictures, captions = shown_images(place.data, size=size, count=ROWS)
    seeds = decoding_seeds(keys)
    guided = DecodingConfig(caption_guidance=GUIDANCE)
    columns = {"original": pictures}
    for count in SHOWN:
        kept = f"{count} token{'' if count == 1 else 's'}"
        columns[f"{kept}, no text"] = none.reconstruct(pictures, num_tokens=count, seeds=seeds)
        columns[f"{kept}, caption"] = both.reconstruct(
            pictures, captions, num_tokens=count, seeds=seeds, decoding=guided
        )
    save_webp(picture_sheet(columns, captions, cell=CELL), out / "sheet.webp")
