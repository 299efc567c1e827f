"""``textok generate PROMPT...``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from textok.cli.decoding import Decoding
from textok.cli.device import pick_device
from textok.config.check import require
from textok.config.decoding import AS_TRAINED
from textok.config.generator import Sampler
from textok.config.read import build
from textok.config.request import Drawn, Request
from textok.runtime.png import read_png_note


def generate(
    prompt: Annotated[Positional[tuple[str, ...]], arg(metavar="[PROMPT...]")] = (),
    *,
    prompts: Path | None = None,
    classes: Annotated[tuple[str, ...], arg(name="class")] = (),
    model: str | None = None,
    num_images: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: Sampler | None = None,
    temperature: float | None = None,
    decoding: Decoding = AS_TRAINED,
    seed: int | None = None,
    negative: str | None = None,
    caption: tuple[str, ...] = (),
    batch_size: int | None = None,
    out: Path = Path("generated"),
    separate: bool = False,
    repeat: Path | None = None,
    device: str = "auto",
) -> None:
    """Draw pictures from text, or of classes.

    Example: textok generate "red women handbag" "blue jeans" --num-images 4 --seed 0

    What is not given is the model's own. Every file says inside what it was drawn from.

    Args:
        prompt: What to draw; "" draws anything.
        prompts: File of more, one a line; blank lines and lines that start with # are skipped.
        classes: Names of classes, for a model that draws classes.
        model: The bundled 'products' (if not given), a pipeline folder or a hub name.
        num_images: Pictures of each prompt or class; 4 if not given.
        steps: Of the sampler, 1 or more; each costs one pass of the generator.
        guidance: How closely to follow the prompt; 1 is no guidance (0 where the model adds to 1).
        sampler: How noise becomes a picture.
        temperature: Of the sampler maskgit, 0 or more: more gives more variety, 0 none.
        seed: Of the first picture of each, 0 if not given; the next has the next.
        negative: Prompt or class that guidance leads away from.
        caption: What the tokenizer's decoder reads instead of the prompt; one for all, or each.
        batch_size: Pictures at once; 16 if not given.
        out: Folder for sheet.png: rows are prompts, columns are seeds.
        separate: Write a file for each picture instead, as 000-a-red-apple-0.png.
        repeat: PNG to draw again into --out, of the same name; only --model goes with it.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    file = next((path for path in (out, *out.parents) if path.is_file()), None)
    require(file is None, f"--out {out}: {file} is a file; name a folder")
    request = _given(
        model=model,
        prompts=prompt + (_read_prompts(prompts) if prompts else ()),
        classes=classes,
        num_images=num_images,
        seed=seed,
        negative=negative,
        captions=caption,
        batch_size=batch_size,
    )
    sampling = _given(steps=steps, guidance=guidance, sampler=sampler, temperature=temperature)
    with _warnings_in_lines():
        if repeat is not None:
            others = [*_given(**decoding.given), *(["separate"] if separate else [])]
            _refuse_beside_repeat([*request, *sampling, *others])
            paths = [_repeat(repeat, out, model, device)]
        else:
            asked = Request(**request)
            from textok.pipeline import generate_files

            paths = generate_files(
                asked,
                out,
                **sampling,
                decoding=decoding,
                separate=separate,
                device=pick_device(device),
            )
    for path in paths:
        print(path)


def _given(**options: object) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: value for name, value in options.items() if value not in (None, ())}


def _refuse_beside_repeat(options: Sequence[str]) -> None:
    words = {"prompts": "the prompts", "classes": "--class", "captions": "--caption"}
    extra = [words.get(name, f"--{name.replace('_', '-')}") for name in options if name != "model"]
    require(not extra, f"--repeat draws what the file says: leave out {', '.join(extra)}")


def _repeat(file: Path, out: Path, model: str | None, device: str) -> Path:
    """Draw again what ``file`` says it was drawn from; returns the new file."""
    note = read_png_note(file)
    try:
        drawn = build(Drawn, note)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if model is not None:
        drawn = replace(drawn, request=replace(drawn.request, model=model))
    from textok.pipeline.files import repeat_file

    repeat_file(drawn, out / file.name, device=pick_device(device))
    return out / file.name


def _read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a file. Raises ValueError where it holds none or is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file in UTF-8") from None
    require("\0" not in text, f"{path}: not a text file in UTF-8")
    lines = [line.strip() for line in text.splitlines()]
    prompts = tuple(line for line in lines if line and not line.startswith("#"))
    require(bool(prompts), f"{path}: holds no prompt; write one a line")
    return prompts


@contextmanager
def _warnings_in_lines() -> Iterator[None]:
    """Print each warning as one line on stderr, when the work is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        print(f"textok: note: {' '.join(str(warning.message).split())}", file=sys.stderr)
