"""Compare published sizes directly: PYTHONPATH=. python tests/convert/compare.py PEER [NAME ...]

PEER is a checkout of bytedance/1d-tokenizer. One model at a time, random weights, a few inputs.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.convert import recipe
from tests.convert.make_fixtures import KL, ONE_STAGE, TWO_STAGE, generator, tokenizer
from tests.convert.peer import Peer
from textok.convert import convert_1d_tokenizer
from textok.generator.maskgit import MaskGIT
from textok.tokenizer import Tokenizer
from textok.types import Condition, TextFeatures

COUNT = 2
TWO = {**TWO_STAGE, "codebook_size": 4096}
VQ = {**ONE_STAGE, "codebook_size": 8192, "token_size": 64, "use_l2_norm": False}
VAE = {**KL, "token_size": 16}
TEXT = {"text_context_length": 77, "text_embed_dim": 768}


def vit(encoder: str, decoder: str, tokens: int, **model: Any) -> dict[str, Any]:
    return tokenizer(encoder=encoder, decoder=decoder, size=256, patch=16, tokens=tokens, **model)


def bert(tokens: int, **sizes: int) -> dict[str, Any]:
    config = generator(heads=16, tokens=tokens, classes=1000, **sizes)
    config["model"]["vq_model"]["codebook_size"] = 4096
    return config


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "TiTok-S-128": ("titok", vit("small", "small", 128, **TWO)),
    "TiTok-B-64": ("titok", vit("base", "base", 64, **TWO)),
    "TiTok-L-32": ("titok", vit("large", "large", 32, **TWO)),
    "TiTok-BL-64 VQ": ("titok", vit("base", "large", 64, **VQ)),
    "TiTok-BL-128 VQ": ("titok", vit("base", "large", 128, **VQ)),
    "TiTok-SL-256 VQ": ("titok", vit("small", "large", 256, **VQ)),
    "TiTok-LL-32 KL": ("titok", vit("large", "large", 32, **VAE)),
    "TiTok-BL-64 KL": ("titok", vit("base", "large", 64, **VAE)),
    "TiTok-BL-128 KL": ("titok", vit("base", "large", 128, **VAE)),
    "TA-TiTok-BL-32 VQ": (
        "tatitok",
        vit("base", "large", 32, **VQ, **TEXT, clustering_vq=True),
    ),
    "TA-TiTok-SL-128 KL": ("tatitok", vit("small", "large", 128, **VAE, **TEXT)),
    "ImageBert of L-32": ("bert", bert(32, depth=24, width=768)),
    "U-ViT of S-128": ("uvit", bert(128, depth=20, width=1024)),
    "MaskGIT-VQGAN": ("vqgan", {}),
}


@torch.no_grad()
def compare(peer: Peer, kind: str, config: dict[str, Any]) -> dict[str, float]:
    """Largest differences, and the share of codes that differ."""
    theirs = peer.build(kind, config)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(theirs.state_dict(), Path(folder) / "weights.bin")
        ours = convert_1d_tokenizer(f"{folder}/weights.bin", Path(folder) / "ours")
    if isinstance(ours, MaskGIT):
        return _generators(theirs, ours)
    if isinstance(ours, Tokenizer):
        return _tokenizers(theirs, ours)
    images = recipe.images(COUNT, 256)
    codes = theirs.encode(images)
    latents = ours.encode(2 * images - 1)
    drawn = theirs.decoder(theirs.quantize.get_codebook_entry(codes))
    return {
        "codes": _share(latents.codes, codes),
        "pixels": _most((ours.decode(codes) + 1) / 2, drawn),
    }


def _tokenizers(theirs: Any, ours: Tokenizer) -> dict[str, float]:
    config, images = ours.config, recipe.images(COUNT, 256)
    states = recipe.text(COUNT, config.text_tokens, config.text_width)
    text = TextFeatures(states=states, mask=torch.ones(states.shape[:2], dtype=torch.bool))
    caption = [] if config.text == "none" else [states]
    said = theirs.encoder(pixel_values=images, latent_tokens=theirs.latent_tokens)
    encoded = ours.encoder(2 * images - 1, text)
    latents = encoded.latents
    if config.bottleneck == "vq":
        codes = theirs.quantize(said)[1]["min_encoding_indices"]
        out = {"codes": _share(latents.codes, codes[:, 0])}
        assert encoded.pre_quant is not None
        out["latents"] = _most(encoded.pre_quant, said[:, :, 0].transpose(1, 2))
        vectors = theirs.quantize(said)[0]
    else:
        assert latents.logvar is not None
        both = torch.cat([latents.mean, latents.logvar], dim=2)
        out = {"latents": _most(both, said[:, :, 0].transpose(1, 2))}
        codes = vectors = theirs.quantize(said).mean
    if config.output == "codes":
        logits = theirs.decoder(vectors).flatten(2).transpose(1, 2)
        out["logits"] = _most(ours.decoder(latents.mean, text), logits)
    drawn = (ours.decode(latents, text) + 1) / 2
    out["pixels"] = _most(drawn, theirs.decode_tokens(codes, *caption))
    return out


def _generators(theirs: Any, ours: MaskGIT) -> dict[str, float]:
    config = ours.config
    ids, hidden = recipe.masked(COUNT, config.num_tokens, config.codebook_size)
    labels = recipe.classes(COUNT, config.classes)
    asked = labels.masked_fill(labels < 0, config.classes)
    masked = ids.masked_fill(hidden, config.codebook_size)
    logits = theirs(masked, asked, cond_drop_prob=0)
    return {"logits": _most(ours(ids, hidden, Condition(labels=labels)), logits)}


def _most(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


def _share(ours: Tensor | None, theirs: Tensor) -> float:
    assert ours is not None
    return float((ours != theirs).float().mean())


def main(root: Path, names: list[str]) -> None:
    peer = Peer(root, tiny=False)
    for name in names or list(MODELS):
        kind, config = MODELS[name]
        found = compare(peer, kind, config)
        print(f"| {name} |", {key: f"{value:.1e}" for key, value in found.items()}, flush=True)
        gc.collect()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
