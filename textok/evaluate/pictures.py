"""Sheets of originals beside their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from textok.config import DecodingConfig, TokenizerConfig
from textok.config.check import require
from textok.config.generation import ReconstructConfig
from textok.data import CaptionedImages
from textok.data.order import evenly_spaced
from textok.data.pixels import BadImageError, decode, to_pil, to_tensor
from textok.evaluate.budgets import budget_sheet
from textok.evaluate.captions import captions_by_key, derange
from textok.evaluate.measure import ReconstructionInputs, reconstructions
from textok.latents import load_latents, save_latents
from textok.pipeline import Reconstructor, decoding_seeds
from textok.runtime.device import pick_device
from textok.runtime.png import require_own
from textok.runtime.sheet import picture_sheet, save_picture
from textok.runtime.untrusted import regular_file
from textok.types import Batch, Latents

COLUMNS = {
    "true": "with caption",
    "plain": "plain caption",
    "absent": "without",
    "shuffled": "wrong caption",
    "pca": "PCA",
}
OTHER_CAPTIONS = ("a black watch", "a red handbag")
"""Wrong captions for a single image: the first that its own caption does not name."""


def evaluation_sheet(
    inputs: ReconstructionInputs, *, rows: int, title: str, cell: int = 128
) -> Image.Image:
    """``rows`` of the images, evenly spaced, in every way at the largest budget."""
    images = inputs.images
    pixels = _readable(images, rows)
    records = [images.records[index] for index in pixels]
    batch = Batch(
        images=torch.stack(list(pixels.values())).to(inputs.reconstructor.device),
        captions=[(record.captions or ("",))[0] for record in records],
        keys=[record.key for record in records],
    )
    captions = {mode: captions_by_key(mode, images.records) for mode in inputs.modes}
    columns = {"original": [to_pil(image) for image in batch.images]}
    budget = max(inputs.budgets)
    for (source, k), made in reconstructions(inputs, batch, captions):
        if k == budget:
            columns[COLUMNS[source]] = [to_pil(image) for image in made.images]
    texts = list(batch.captions)
    if "shuffled" in captions:
        texts = _with_wrong(texts, [captions["shuffled"][key] for key in batch.keys])
    heading = _heading(title, inputs.reconstructor.config, budget)
    return picture_sheet(columns, texts, cell=cell, title=heading)


def _readable(images: CaptionedImages, rows: int) -> dict[int, Tensor]:
    """``rows`` evenly spaced images by their places; of one that cannot be read the next one."""
    found: dict[int, Tensor] = {}
    for index in evenly_spaced(len(images), rows):
        for place in chain(range(index, len(images)), range(index)):
            if place in found:
                continue
            with suppress(BadImageError, OSError):  # counted and named by the report already
                found[place] = to_tensor(images.read(place).copy())
                break
    return found


def reconstruction_sheet(
    reconstructor: Reconstructor,
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    num_tokens: int | None = None,
    decoding: DecodingConfig | None = None,
    seeds: Sequence[int] | None = None,
    cell: int = 128,
    title: str | None = None,
) -> Image.Image:
    """Images without a caption, with theirs and with a wrong one; "" is an absent caption.

    ``num_tokens`` of each are kept; without it 1 where the tokenizer is nested, all elsewhere. A
    last column has all tokens, where the others have fewer.
    """
    config = reconstructor.config
    originals = [reconstructor.prepare(picture) for picture in pictures]
    columns = {"original": originals}
    texts = list(captions)
    k = (1 if config.nested else config.num_tokens) if num_tokens is None else num_tokens
    given: dict[str, Sequence[str] | None] = {"no caption": None}
    if config.text != "none" and any(captions):
        wrong = wrong_captions(captions)
        texts = _with_wrong(texts, wrong)
        given |= {"its caption": captions, "a wrong caption": wrong}
    ways = [(k, name, several) for name, several in given.items()]
    if k < config.num_tokens:
        best = "its caption" if "its caption" in given else "no caption"
        ways.append((config.num_tokens, best, given[best]))
    for count, name, several in ways:
        columns[f"{_tokens(count)}, {name}"] = reconstructor.reconstruct(
            originals, several, num_tokens=count, seeds=seeds, decoding=decoding
        )
    return picture_sheet(columns, texts, cell=cell, title=title)


def _require_own_tokens(path: Path) -> None:
    """Raise ValueError where a file lies that holds no latents."""
    if path.exists():
        try:
            load_latents(path)
        except ValueError:
            raise ValueError(
                f"{path} is there already and was not written by textok: choose another place"
            ) from None


def reconstruct_files(config: ReconstructConfig) -> list[Path]:
    """Write ``out/sheet.png`` and, with ``tokens``, ``out/tokens.safetensors``.

    The sheet of several ``num_tokens`` shows each image with its caption and without at all of
    them. Returns the files written. Raises ValueError for an image that cannot be read, and for
    captions or settings that do not fit.
    """
    device, paths = pick_device(config.device), config.images
    require_own(config.out / "sheet.png")
    tokens = config.out / "tokens.safetensors"
    if config.tokens:
        _require_own_tokens(tokens)
    texts = _one_each(config.caption, len(paths))
    reconstructor = Reconstructor.from_pretrained(config.model, device=device)
    shape, seed = reconstructor.config, config.seed
    decoded = shape.sampled_by(config.decoding, seed=seed)
    budgets = _budgets(config.num_tokens, reconstructor)
    k = max(budgets)
    pictures = [_open(path, shape.image_size) for path in paths]
    title = _heading(Path(config.model).name, shape, shape.num_tokens)
    if min(budgets) < shape.num_tokens and not shape.nested:
        title += f" (trained with all {shape.num_tokens} alone)"
    seeds = decoding_seeds([path.name for path in paths], draw=seed or 0)
    look: dict[str, Any] = {"decoding": decoded, "seeds": seeds, "title": title}
    if len(budgets) > 1:
        sheet = budget_sheet(reconstructor, pictures, texts, budgets, **look)
    else:
        only = k if config.num_tokens else None
        sheet = reconstruction_sheet(reconstructor, pictures, texts, num_tokens=only, **look)
    config.out.mkdir(parents=True, exist_ok=True)
    written = [config.out / "sheet.png"]
    save_picture(sheet, written[0], {"reconstruct": str(config.model)})
    if config.tokens:
        latents = reconstructor.encode(pictures, texts, num_tokens=k)
        written.append(tokens)
        rounded = Latents(mean=latents.mean.half(), codes=latents.codes)
        save_latents(tokens, rounded, texts)
    return written


def _one_each(captions: Sequence[str], count: int) -> list[str]:
    """A caption for each of ``count`` images, "" for none. Raises ValueError for other numbers."""
    number = len(captions)
    wrong = f"{number} captions for {count} images: give one, or one each"
    require(number in (0, 1, count), wrong)
    return list(captions) * count if number == 1 else list(captions) or [""] * count


def _budgets(num_tokens: Sequence[int], reconstructor: Reconstructor) -> list[int]:
    """As given, in order, or all tokens. Raises ValueError for more than there are."""
    fewest, limit = reconstructor.tokenizer.fewest_tokens, reconstructor.config.num_tokens
    for k in num_tokens:
        require(fewest <= k <= limit, f"num_tokens is {k}, this tokenizer has {fewest} to {limit}")
    return list(dict.fromkeys(num_tokens)) or [limit]


def wrong_captions(captions: Sequence[str]) -> list[str]:
    """Another image's caption for each, a stock one where all captions are the same."""
    if len(set(captions)) > 1:
        return derange(captions)
    stock = (text for text in OTHER_CAPTIONS if text.split()[-1] not in captions[0].lower())
    return [next(stock, OTHER_CAPTIONS[0])] * len(captions)


def _heading(title: str, config: TokenizerConfig, k: int) -> str:
    size = f"{config.codebook_size} codes" if config.codebook_size else f"{config.channels} numbers"
    return f"{title}: {config.image_size} px, {_tokens(k)} of {size}"


def _tokens(k: int) -> str:
    return f"{k} token{'' if k == 1 else 's'}"


def _with_wrong(captions: Sequence[str], wrong: Sequence[str]) -> list[str]:
    pairs = zip(captions, wrong, strict=True)
    return [f"{own or '(no caption)'}\n\nwrong: {other or '(none)'}" for own, other in pairs]


def _open(path: Path, size: int) -> Image.Image:
    try:
        return decode(regular_file(path).read_bytes(), size=size)
    except BadImageError as error:
        raise ValueError(f"{path}: {error}") from error
