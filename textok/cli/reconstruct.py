"""``textok reconstruct IMAGE...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from textok.cli.commands import Model
from textok.cli.decoding import Decoding
from textok.cli.device import pick_device
from textok.config.bundled import BUNDLED
from textok.config.decoding import AS_TRAINED

SHOWN = 12


def reconstruct(
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="[IMAGE...]")] = (),
    *,
    caption: tuple[str, ...] = (),
    model: Model = BUNDLED,
    out: Path = Path("reconstructed"),
    num_tokens: tuple[int, ...] = (),
    decoding: Decoding = AS_TRAINED,
    seed: int | None = None,
    tokens: bool = False,
    device: str = "auto",
) -> None:
    """Show pictures beside what a few tokens keep of them.

    Example: textok reconstruct cat.png dog.png --caption "a cat" "a dog" --tokens

    The sheet shows each without a caption, with its own and with a wrong one: by a nested
    tokenizer at one token, where the caption counts most, and beside it at all.

    Args:
        images: Picture files; without any, a dozen drawings of products that ship with textok.
        caption: One for each image, or one for all.
        model: The bundled 'products', a tokenizer folder or a hub name.
        out: Folder for sheet.png and, with --tokens, tokens.safetensors.
        num_tokens: Keep this many tokens an image (a nested tokenizer takes any up to its own, one
            that samples also 0). Several: show each picture at all of them.
        seed: Of a decoder that samples; 0 if not given.
        tokens: Also write the tokens, with the captions that they were made with.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    from textok.demo.samples import sample_pictures
    from textok.evaluate import reconstruct_files

    if not images:
        paths, captions = sample_pictures(SHOWN)
        images, caption = tuple(paths), caption or tuple(captions)
    written = reconstruct_files(
        model,
        images,
        out,
        captions=caption,
        num_tokens=num_tokens,
        decoding=decoding,
        seed=seed,
        tokens=tokens,
        device=pick_device(device),
    )
    for path in written:
        print(path)
