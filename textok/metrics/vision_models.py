"""Image networks of transformers whose features a distance is measured in: DINOv2, CLIP, ...

Legend: B images, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from textok.config.check import require
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import from_8bit, to_8bit
from textok.runtime.hub import find_model_folder, model_digest, quiet_transformers
from textok.runtime.pretrained import read_json

WHAT = "feature network"
PREPROCESSOR = "preprocessor_config.json"
Colour = tuple[float, float, float]
_IMAGENET: tuple[Colour, Colour] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: tuple[Colour, Colour] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
_HALF: tuple[Colour, Colour] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of network, by transformers' ``model_type``."""

    name: str
    """In settings."""
    called: str
    """In reports, after FD- or KD-."""
    loader: str
    """The class in transformers."""
    features: Literal["pooler_output", "image_embeds"]
    """What of its output they are."""
    described: str
    """That in words."""
    colours: tuple[Colour, Colour]
    """Mean and deviation of the pixels, where the folder does not say."""
    size: int | None = None
    """Pixels of a side, where the folder does not say; None is its config's."""


def _dino(name: str, called: str, loader: str) -> Family:
    return Family(
        name=name,
        called=called,
        loader=loader,
        features="pooler_output",
        described="class token after the last norm",
        colours=_IMAGENET,
        # The config has the size of the last steps of training, 518 px for DINOv2.
        size=224,
    )


def _convnext(name: str, called: str, loader: str) -> Family:
    return Family(
        name=name,
        called=called,
        loader=loader,
        features="pooler_output",
        described="average-pooled features after the last norm",
        colours=_IMAGENET,
    )


_CLIP_FAMILY = Family(
    name="clip",
    called="CLIP",
    loader="CLIPVisionModelWithProjection",
    features="image_embeds",
    described="projected image embedding, not normalised",
    colours=_CLIP,
)
_SIGLIP_FAMILY = Family(
    name="siglip",
    called="SigLIP",
    loader="SiglipVisionModel",
    features="pooler_output",
    described="attention-pooled features",
    colours=_HALF,
)
FAMILIES: dict[str, Family] = {
    "dinov2": _dino("dinov2", "DINOv2", "Dinov2Model"),
    "dinov2_with_registers": _dino(
        "dinov2_with_registers", "DINOv2reg", "Dinov2WithRegistersModel"
    ),
    "dinov3_vit": _dino("dinov3", "DINOv3", "DINOv3ViTModel"),
    "clip": _CLIP_FAMILY,
    "clip_vision_model": _CLIP_FAMILY,
    "convnext": _convnext("convnext", "ConvNeXt", "ConvNextModel"),
    "convnextv2": _convnext("convnextv2", "ConvNeXtV2", "ConvNextV2Model"),
    "siglip": _SIGLIP_FAMILY,
    "siglip_vision_model": _SIGLIP_FAMILY,
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How images become what a network was trained on."""

    size: int
    """Pixels of a side. The whole image is resized: nothing is cropped."""
    mode: Literal["bilinear", "bicubic"]
    mean: Colour
    std: Colour

    def __call__(self, images_B3HW: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1], rounded to 8 bits, to (B, 3, size, size)."""
        images = from_8bit(to_8bit(images_B3HW))
        if images.shape[-2:] != (self.size, self.size):
            images = functional.interpolate(
                images, (self.size, self.size), mode=self.mode, antialias=True
            ).clamp(-1, 1)
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return ((images + 1) / 2 - mean) / std


def load_vision_model(
    model: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> FeatureNetwork:
    """The image network in a folder in the transformers format or of a hub name.

    ``FAMILIES`` lists the kinds. Size, mean and deviation of the pixels are those of the folder's
    ``preprocessor_config.json``, else the family's. Raises ValueError for a network of another kind
    or one that cannot be loaded.
    """
    folder = find_model_folder(model, what=WHAT)
    config = read_json(folder / "config.json")
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None:
        raise ValueError(
            f"{WHAT}: {folder} is of type {config.get('model_type')!r}; supported: "
            f"{', '.join(FAMILIES)}"
        )
    prepare = read_preprocessing(folder, config, family)
    network = _load(folder, family, dtype).requires_grad_(False).eval().to(device)
    extract = _extractor(network, family, prepare)
    try:
        width = extract(torch.zeros(1, 3, prepare.size, prepare.size, device=device)).shape[1]
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{WHAT}: {folder} does not take images of {prepare.size} px, the size in its "
            f"{PREPROCESSOR} or config.json ({reason})"
        ) from error
    return FeatureNetwork(
        name=family.name,
        metric=f"FD-{family.called}",
        width=width,
        protocol=(
            f"{family.called} with {width} features (model {model_digest(folder)[:12]}), "
            f"{family.described}, whole 8-bit images resized to {prepare.size} px "
            f"({prepare.mode}, antialiased)"
        ),
        extract=extract,
        feature_map=_mapper(network, prepare),
    )


def _mapper(network: Any, prepare: Preprocessing) -> Callable[[Tensor], Tensor]:
    """The last states in their places: a ViT's without those in front (class token, registers)."""

    @torch.no_grad()
    def feature_map(images_B3HW: Tensor) -> Tensor:
        pixels = prepare(images_B3HW).to(network.dtype)
        states: Tensor = network(pixel_values=pixels).last_hidden_state
        if states.ndim == 3:
            side = prepare.size // network.config.patch_size
            states = rearrange(states[:, -(side**2) :], "B (h w) F -> B F h w", h=side)
        return states.float()

    return feature_map


def _extractor(
    network: Any, family: Family, prepare: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def extract(images_B3HW: Tensor) -> Tensor:
        pixels = prepare(images_B3HW).to(network.dtype)
        features_BF: Tensor = getattr(network(pixel_values=pixels), family.features)
        return features_BF.float()

    return extract


def _load(folder: Path, family: Family, dtype: torch.dtype) -> Any:
    import transformers

    loader: Any = getattr(transformers, family.loader, None)
    if loader is None:
        raise ValueError(
            f"{WHAT}: transformers {transformers.__version__} has no {family.loader}; update it"
        )
    try:
        with quiet_transformers():
            network, info = loader.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                **_of_image_tower(folder),
            )
    # What foreign readers raise about a foreign file has no common type.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{WHAT}: cannot load {folder}: {reason}") from error
    missing = sorted(info["missing_keys"])
    require(
        not missing,
        f"{WHAT}: the weights in {folder} lack {len(missing)} tensors of {family.loader}: "
        f"{', '.join(missing[:3])}",
    )
    return network


def _of_image_tower(folder: Path) -> dict[str, Any]:
    """The config for ``from_pretrained`` where a whole CLIP lies in ``folder``.

    Its common width need not be in the part of the image tower.
    """
    import transformers

    config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type != "clip":
        return {}
    config.vision_config.projection_dim = config.projection_dim
    return {"config": config.vision_config}


def read_preprocessing(folder: Path, config: dict[str, Any], family: Family) -> Preprocessing:
    """What the folder says of its images, else what is usual in the family.

    Raises ValueError for sizes that are not square and for colours that are not three numbers.
    """
    path = folder / PREPROCESSOR
    given = read_json(path) if path.is_file() else {}
    # Without a crop the network sees what it was resized to.
    asked = given.get("crop_size") if given.get("do_center_crop") else None
    size = family.size or config.get("vision_config", config).get("image_size") or 224
    size = _side(asked or given.get("size") or size, path)
    mean, std = family.colours
    if given.get("do_normalize", True):
        mean = _colour(given.get("image_mean", mean), path, "image_mean")
        std = _colour(given.get("image_std", std), path, "image_std")
        require(min(std) > 0, f"{path}: image_std is {list(std)}: it must be above 0")
    else:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    # Pillow's numbers; its others are not among torch's antialiased ones.
    mode: Literal["bilinear", "bicubic"] = "bilinear" if given.get("resample") == 2 else "bicubic"
    return Preprocessing(size=size, mode=mode, mean=mean, std=std)


def _side(size: Any, path: Path) -> int:
    """Of 224, {"height": 224, "width": 224} or {"shortest_edge": 224}."""
    values = list(size.values()) if isinstance(size, dict) else [size]
    good = len(set(map(str, values))) == 1 and isinstance(values[0], int) and values[0] > 0
    require(good, f"{path}: images of {size} are not squares of so many pixels")
    return int(values[0])


def _colour(values: Any, path: Path, name: str) -> Colour:
    good = (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(isinstance(value, int | float) for value in values)
    )
    require(good, f"{path}: {name} is {values!r}: it must be three numbers")
    red, green, blue = map(float, values)
    return red, green, blue
