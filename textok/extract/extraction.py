"""Latents of every (image, caption) of a data set, shard by shard, in one process or many."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from textok.config import DataConfig
from textok.config.check import require
from textok.config.data import TextStoreConfig
from textok.config.extraction import ExtractConfig
from textok.data import CaptionedImages, open_captioned_images
from textok.data.images import sorted_labels
from textok.extract.split import check_same, plan_split
from textok.latents.index import LatentIndex, read_index
from textok.metrics.features import load_feature_network
from textok.pipeline import Reconstructor
from textok.pipeline.memory import check_batch
from textok.runtime.device import check_precision, cuda_products, pick_device
from textok.runtime.files import WRITING, discard_leftovers, named_errors, replace_folder
from textok.runtime.lock import FolderLock
from textok.runtime.own_folder import OwnFolder
from textok.runtime.pretrained import rename_keys
from textok.runtime.processes import gather, join_processes, own_device
from textok.text import TextFeaturesSource, open_features
from textok.tokenizer import Tokenizer
from textok.tokenizer.pretrained import OLD_KEYS

TOKENIZER, TEXT_CACHE = "tokenizer", "text-cache"


def extract(config: ExtractConfig) -> dict[str, LatentIndex]:
    """Write the latents of ``splits`` of the data below ``out``; returns the index of each.

    The same call continues what was interrupted and makes again what is gone or cut short. Under
    ``torchrun`` or ``accelerate launch`` every process calls it and makes its share. Caption
    features lie in ``text.cache``, or in ``out/text-cache``.

    Raises ValueError for settings or data that do not fit together, or to what ``out`` holds.
    """
    device = pick_device(config.device)
    check_precision(device, config.precision)
    with cuda_products(device, tf32=False):
        return _extract(config, own_device(device))


def _extract(config: ExtractConfig, device: torch.device) -> dict[str, LatentIndex]:
    out, splits = config.out, config.splits
    folder = OwnFolder(path=out, kind="latents", setting="out", made_before=_were_latents)
    folder.check()
    rank, world_size = join_processes()
    network = Tokenizer.from_pretrained(config.tokenizer)
    features = load_feature_network(config.features, device=device) if config.features else None
    sha256 = weights_sha256(network)
    images = _open_splits(config.data, splits, network.config.image_size)
    if network.config.text != "none" and not any(one.report.captions for one in images.values()):
        images[splits[0]].require_captions()
    if config.captions_per_image:
        images = {name: _first_captions(images[name], config.captions_per_image) for name in splits}
    rows = (sum(max(1, len(row.captions)) for row in one.records) for one in images.values())
    most = min(config.batch_size, config.shard_rows, max(rows))
    check_batch(most, network.config, device, setting=f"batch_size is {config.batch_size}")
    plan = partial(
        plan_split,
        sha256=sha256,
        precision=config.precision,
        flip=config.flip,
        float8=config.text.store == "float8",
        features=None if features is None else features.protocol,
        shard_rows=config.shard_rows,
        batch_size=config.batch_size,
    )
    if rank == 0:
        folder.claim()
        lock = FolderLock(out)
    gather(rank)
    parts = [plan(images[name], out / name) for name in splits]
    if rank == 0:
        _keep_tokenizer(network, sha256, out)
    text = _open_text(network, config.text, default=out / TEXT_CACHE, device=device)
    if text is not None:
        text.warm([caption for split in parts for caption in split.plan.captions()])
    reconstructor = Reconstructor(network, text=text, device=device, precision=config.precision)
    gather(rank)
    for split in parts:
        split.make(reconstructor, rank=rank, world_size=world_size, features=features)
        if text is not None:
            text.finish()
        gather(rank)
        if rank == 0:
            split.complete(str(config.tokenizer), reconstructor, features=features)
    gather(rank)
    if rank == 0:
        lock.release()
    return {name: read_index(out / name) for name in splits}


def weights_sha256(tokenizer: Tokenizer) -> str:
    """SHA-256 over the names and values of the weights, in whatever file they came.

    Names are the former ones, so that latents of then and now know their tokenizer.
    """
    digest = hashlib.sha256()
    state = tokenizer.state_dict()
    rename_keys(state, {now: start for start, now in OLD_KEYS.items()})
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _were_latents(folder: Path) -> bool:
    return (folder / TOKENIZER / "config.json").is_file()


def _open_splits(
    data: DataConfig, names: Sequence[str], image_size: int
) -> dict[str, CaptionedImages]:
    """The images of each split, their classes numbered over all of them.

    Raises ValueError for a name that cannot be a folder's, or splits that share images.
    """
    splits: dict[str, CaptionedImages] = {}
    places: dict[object, str] = {}
    for name in names:
        free = name not in (TOKENIZER, TEXT_CACHE, "", ".", "..") and "/" not in name
        require(free, f"splits: '{name}' cannot be the folder of a split; choose another name")
        split = open_captioned_images(replace(data, split=name), image_size=image_size)
        for record in split.records:
            first = places.setdefault((record.file, record.span), name)
            require(
                first == name,
                f"data.path {data.path}: {first} and {name} are the same images, where there are "
                f"no splits; take all as one with --splits {first}",
            )
        splits[name] = split
    classes = sorted_labels({label for split in splits.values() for label in split.classes})
    return {name: replace(split, classes=classes) for name, split in splits.items()}


def _first_captions(images: CaptionedImages, count: int) -> CaptionedImages:
    records = [replace(one, captions=one.captions[:count]) for one in images.records]
    return replace(images, records=records)


def _open_text(
    tokenizer: Tokenizer, text: TextStoreConfig, *, default: Path, device: torch.device
) -> TextFeaturesSource | None:
    """The features of captions, in ``text.cache`` or ``default`` where any are stored.

    None for a tokenizer that reads none.
    """
    config = tokenizer.text_config
    if config is None or tokenizer.config.text == "none":
        return None
    config = replace(config, store=text.store, shard=text.shard)
    folder = Path(text.cache) if text.cache else default
    return open_features(config, folder=folder, device=device, uneven=True)


def _keep_tokenizer(tokenizer: Tokenizer, sha256: str, out: Path) -> None:
    """Save the tokenizer beside its latents. Raises ValueError where another one is."""
    out.mkdir(parents=True, exist_ok=True)
    discard_leftovers(out)
    kept = out / TOKENIZER
    if kept.is_dir():
        found = weights_sha256(Tokenizer.from_pretrained(kept))
        check_same(out, found={"tokenizer": found}, requested={"tokenizer": sha256})
    else:
        writing = out / f"{WRITING}{TOKENIZER}"
        try:
            with named_errors(kept):
                replace_folder(tokenizer.save_pretrained(writing), kept)
        except BaseException:
            discard_leftovers(out)
            raise
