"""The study's nested tokenizers: one pair of each decoder tells of every number of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from studies.flow_decoder.budgets import Decoder
from studies.pairs.commands import tokenizer_steps
from studies.pairs.nested import Measurement, measuring_steps
from studies.pairs.pictures import newer, save_webp, shown_images
from studies.pairs.study import PAIR, Study
from studies.steps import Step, words
from studies.text_gain import Member
from textok.evaluate.budgets import budget_sheet
from textok.pipeline import Reconstructor, decoding_seeds

FOLDER = "nested"
"""Of its runs, beside the decoder's others: what `--only` takes."""
COUNTS = (0, 1, 2, 4, 8, 16)
"""Numbers of tokens that are decoded from, as far as there are so many."""
SHARE = 2
"""Each number of tokens is a row: measured on one in so many of the images of the others."""
ROWS, CELL = 6, 128


def nested_runs(study: Study, tokens: int) -> dict[str, Path]:
    """The folders of a decoder's pair, by the place of the text."""
    return {text: study.runs / FOLDER / _member(study, tokens, text).name for text in PAIR}


def _member(study: Study, tokens: int, text: str) -> Member:
    return Member(tokens=tokens, text=text, seed=study.budget.seeds[0])


def counts_of(decoder: Decoder, tokens: int) -> list[int]:
    """Numbers of tokens that it is decoded from; only one that samples needs none."""
    return [count for count in COUNTS if count <= tokens and (count or decoder == "flow")]


def nested_steps(studies: Mapping[Decoder, Study], tokens: int) -> list[Step]:
    """Train all as the study's other tokenizers, then measure them at each number of tokens.

    Those with the caption first: within each of them, too, it is told what the caption is worth.
    """
    steps: list[Step] = []
    for text in reversed(PAIR):
        for decoder in sorted(studies):  # flow before regression
            steps += _steps(decoder, studies[decoder], tokens, text)
    return steps


def _steps(decoder: Decoder, study: Study, tokens: int, text: str) -> list[Step]:
    budget, runs = study.budget, nested_runs(study, tokens)
    nested = replace(budget, flags=(*budget.flags, "--tokenizer.nested", "true"))
    place = replace(study, budget=nested, runs=runs[text].parent, caches=study.shared)
    train, _ = tokenizer_steps(_member(study, tokens, text), place)
    measurement = Measurement(
        data=study.data,
        counts=counts_of(decoder, tokens),
        limit=budget.limit // SHARE,
        speed=budget.speed.measuring,
        flags=words(
            *("--feature-networks", *budget.networks, *budget.evaluation_flags),
            *("--text-cache", study.shared / "text-cache"),
        ),
        captions=budget.captions,
        guided=decoder == "flow",
    )
    return [train, *measuring_steps(runs, measurement)[text]]


def write_nested_sheet(flow: Study, tokens: int, out: Path, *, rows: int = ROWS) -> None:
    """``out/nested.webp``, once it is trained; one that is newer stays.

    A row for each picture with its caption, from no token to all, and one without.
    """
    run = nested_runs(flow, tokens)["both"]
    trained = [run / "report.md"]
    if not trained[0].exists() or newer(out / "nested.webp", trained):
        return
    model = Reconstructor.from_pretrained(run / "model", text_cache=flow.shared / "text-cache")
    shown = shown_images(flow.data, size=model.config.image_size, count=rows)
    sheet = budget_sheet(
        model,
        shown.pictures,
        shown.captions,
        counts_of("flow", tokens),
        seeds=decoding_seeds(shown.keys),
        cell=CELL,
        title=f"one nested tokenizer of {model.config.num_tokens} tokens",
    )
    save_webp(sheet, out / "nested.webp")
