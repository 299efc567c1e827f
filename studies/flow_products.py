"""What a product's name is worth to a decoder that samples, from no token to eight.

A nested pair, with names and without, otherwise equal: one pair of trainings tells it at every
number of tokens. Then a DiT by text on four tokens of the one with names, as the bundled one is.

    python -m studies.flow_products --data data/products-64 --runs runs/flow-products
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from studies.command import refuse, run_command
from studies.drawing import extract_step, judge_step, reports_in, retrieval, train_step
from studies.notes import write_noted
from studies.pairs.found import Entry
from studies.pairs.job import require_splits
from studies.pairs.nested import (
    GUIDANCE,
    GUIDED,
    Measurement,
    measuring_steps,
    nested_entry,
    nested_tables,
)
from studies.pairs.pictures import save_webp
from studies.pairs.study import PAIR, SPLIT
from studies.pairs.summary import note_hardware, read_hardware, write_summary
from studies.products.__main__ import PROMPTS
from studies.steps import TWO_JUDGES, Step, plan, run_steps, words
from studies.subset import write_splits
from textok.evaluate.markdown import markdown_table

PRESET = "products-flow-64"
COUNTS = (0, 1, 2, 4, 8)
JUDGES = words("--precision", "bf16", "--workers", 0)
GENERATOR = "dit-products-64"
COMPARED = 4_000
"""Training images that generated ones are compared with."""
TRAINING, MEASURING = 46.0, 4.5
"""Images a second on one core with bf16 instructions."""
BATCH = 64
DECODED = {"test": 1, GUIDED: GUIDANCE}
"""How the generator's images are decoded: scale of the guidance on the name, by folder."""
COMMAND = "python -m studies.flow_products"
ABOUT = """One nested tokenizer of product images (64 px, 0 to 8 tokens, C = 8, 4.4 M parameters)
whose decoder samples by flow matching, with the names in both sides, and one without, equal in all
else; both measured on held-out products. FD-EffLite0 is no FID (docs/evaluation.md). Gains are
those of two trainings; "caption left out" is the first tokenizer without the name, which it has
seen in a share of its training images."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train and measure what is not done yet; the same command goes on."""

    data: Path = Path("data/products-64")
    """Images with a name each, in train, val and test, as `textok data prepare` makes them."""
    runs: Path = Path("runs/flow-products")
    """Folder of the runs."""
    out: Path = Path("docs/results/flow-products")
    """Folder of the results."""
    steps: int = 3_000
    """Of each training; 2 shows that everything works, and its numbers mean nothing."""
    limit: int = 500
    """Test images."""
    minutes: float = 0
    """Begin no step after this many minutes; 0 goes on to the end."""


def every_step(arguments: Arguments) -> list[Step]:
    """Train and measure the one with names, then the one without."""
    runs = {text: arguments.runs / text for text in PAIR}
    measurement = Measurement(
        data=arguments.data,
        counts=COUNTS,
        limit=arguments.limit,
        speed=MEASURING,
        flags=(*JUDGES, *TWO_JUDGES, "--text-cache", str(arguments.runs / "text-cache")),
    )
    measuring = measuring_steps(runs, measurement)
    steps: list[Step] = []
    for text in reversed(PAIR):
        kind = words("--tokenizer.text", text, "--run.steps", arguments.steps)
        place = words("--run.out", runs[text], "--data.path", arguments.data)
        cache = words("--text.cache", arguments.runs / "text-cache")
        train = Step(
            command=("train", "tokenizer", PRESET, *kind, *place, *cache),
            done=runs[text] / "report.md",
            seconds=arguments.steps * BATCH / TRAINING,
        )
        steps += [train, *measuring[text]]
    return [*steps, *generator_steps(arguments)]


def generator_steps(arguments: Arguments) -> list[Step]:
    """Latents of the tokenizer with names, a DiT on them, and images by it for held-out names."""
    runs = arguments.runs
    run, latents = runs / "generator", runs / "latents"
    steps = [
        extract_step(runs / "both" / "model", arguments.data, latents, caches=runs),
        train_step(GENERATOR, latents, run, caches=runs),
    ]
    for folder, scale in DECODED.items():
        decoded = words("--num-images", arguments.limit, "--caption-guidance", scale)
        place = run / folder
        steps.append(
            judge_step(
                *(run / "model", runs / "judged", place),
                split=SPLIT,
                caches=runs,
                judges=TWO_JUDGES,
                flags=(*decoded, "--workers", "0"),
            )
        )
        draw = words("generate", *PROMPTS, "--model", run / "model", "--num-images", 5)
        prompts = place / "prompts"
        steps.append(
            Step(
                command=(*draw, *words("--caption-guidance", scale, "--out", prompts)),
                done=prompts / "sheet.png",
            )
        )
    return steps


def write(arguments: Arguments) -> None:
    """``summary.json`` and ``README.md``, whose hand-written part stays."""
    runs, out = arguments.runs, arguments.out
    entry = nested_entry({text: runs / text for text in PAIR})
    out.mkdir(parents=True, exist_ok=True)
    generated = generated_entry(runs / "generator")
    prompts = runs / "generator" / GUIDED / "prompts" / "sheet.png"
    if prompts.exists():
        save_webp(Image.open(prompts).convert("RGB"), out / "prompts.webp")
    found = {
        "nested": entry,
        "generated": generated,
        "images_seen": arguments.steps * BATCH,
        "measured_images": arguments.limit,
        "hardware": read_hardware(runs),
        "commands": [COMMAND],
    }
    write_summary(found, out)
    tables = nested_tables(entry) or ["- Not measured yet."]
    made = f"{arguments.steps * BATCH:,} images each, {arguments.limit} test images, one seed:"
    head = ["# The name of a product, to a decoder that samples", "", ABOUT, ""]
    lines = [*head, f"{made} `{COMMAND}`", "", *tables, *_generated_table(generated)]
    lines += ["![prompts.webp](prompts.webp)", ""] if (out / "prompts.webp").exists() else []
    lines += ["All numbers: [summary.json](summary.json)."]
    write_noted(out / "README.md", "\n".join(lines) + "\n")


def generated_entry(run: Path) -> dict[str, Entry]:
    """What was measured of the generator's images, by how they were decoded."""
    reports = reports_in({folder: run / folder for folder in DECODED})
    return {
        folder: {
            "caption_guidance": DECODED[folder],
            "frechet": {report.metric: report.scores.frechet, **report.scores.other_frechet},
            "precision": report.scores.manifold.precision,
            "recall": report.scores.manifold.recall,
            "retrieval_at_1": retrieval(report.scores),
        }
        for folder, report in reports.items()
    }


def _generated_table(generated: Mapping[str, Entry]) -> list[str]:
    if not generated:
        return []
    metrics = next(iter(generated.values()))["frechet"]
    heads = ["guidance on the name, in decoding", *(f"g{name} ↓" for name in metrics)]
    heads += ["precision ↑", "recall ↑", "retrieval@1 ↑"]
    rows = []
    for entry in generated.values():
        shares = (entry[name] for name in ("precision", "recall", "retrieval_at_1"))
        distances = (f"{value:.2f}" for value in entry["frechet"].values())
        shown = ("–" if share is None else f"{share:.3f}" for share in shares)
        rows.append([str(entry["caption_guidance"]), *distances, *shown])
    about = "Images for held-out names by a DiT on four tokens:"
    return [about, "", *markdown_table(heads, rows), ""]


def main(arguments: Arguments) -> None:
    """Run the study that ``arguments`` describe."""
    require_splits(arguments.data, how="textok data prepare SOURCE OUT --size 64 --fit pad")
    if arguments.steps < 1 or arguments.limit < 2:
        refuse("--steps must be at least 1, and --limit at least 2")
    counts = {"train": COMPARED, SPLIT: arguments.limit}
    write_splits(arguments.data, arguments.runs / "judged", counts)
    steps = every_step(arguments)
    print(plan(steps, f"{TRAINING:g} images/s in training, {MEASURING:g} in measuring"), flush=True)
    if any(not step.done.exists() for step in steps):
        note_hardware(arguments.runs)
    run_steps(steps, minutes=arguments.minutes, after=lambda _: write(arguments))
    write(arguments)


if __name__ == "__main__":
    run_command(main, "studies.flow_products", settings=Arguments)
