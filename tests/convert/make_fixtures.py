"""Record what the official modules give: PYTHONPATH=. python tests/convert/make_fixtures.py PEER

PEER is a checkout of bytedance/1d-tokenizer. Each fixture is NAME.json (kind, configuration, keys
and shapes of the state) and NAME.npz (outputs); weights and inputs are those of recipe.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.convert import recipe
from tests.convert.peer import Peer, shapes, uniform_from

FOLDER = Path(__file__).parent / "fixtures"
COUNT = 10
BATCHES = (1, 3, 6)
"""Rows that go through the official modules at once."""


def tokenizer(
    *, encoder: str, decoder: str, size: int, patch: int, tokens: int, **model: Any
) -> dict[str, Any]:
    """A configuration as the official ``config.json`` has it."""
    model = {
        "vit_enc_model_size": encoder,
        "vit_dec_model_size": decoder,
        "vit_enc_patch_size": patch,
        "vit_dec_patch_size": patch,
        "num_latent_tokens": tokens,
        "commitment_cost": 0.25,
        **model,
    }
    return {"model": {"vq_model": model}, "dataset": {"preprocessing": {"crop_size": size}}}


def generator(
    *, heads: int, depth: int, width: int = 64, tokens: int = 16, classes: int = 10
) -> dict[str, Any]:
    network = {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "dropout": 0.1,
        "attn_drop": 0.1,
        "image_seq_len": tokens,
        "condition_num_classes": classes,
    }
    return {"model": {"vq_model": {"codebook_size": 64}, "generator": network}}


ONE_STAGE = {"finetune_decoder": False, "is_legacy": False}
VQ = {**ONE_STAGE, "codebook_size": 256, "token_size": 12, "use_l2_norm": False}
KL = {**ONE_STAGE, "quantize_mode": "vae", "token_size": 6}
TWO_STAGE = {
    "finetune_decoder": True,
    "codebook_size": 256,
    "token_size": 12,
    "use_l2_norm": True,
}
TEXT = {"text_context_length": 7, "text_embed_dim": 24}
SMALL = {"size": 32, "patch": 8, "tokens": 6}

TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "two-stage": (
        "titok",
        tokenizer(encoder="base", decoder="base", size=64, patch=16, tokens=6, **TWO_STAGE),
    ),
    "vq": ("titok", tokenizer(encoder="small", decoder="large", **SMALL, **VQ)),
    "kl": ("titok", tokenizer(encoder="large", decoder="large", **SMALL, **KL)),
    "text-vq": (
        "tatitok",
        tokenizer(encoder="base", decoder="large", **SMALL, **VQ, **TEXT, clustering_vq=True),
    ),
    "text-kl": ("tatitok", tokenizer(encoder="small", decoder="large", **SMALL, **KL, **TEXT)),
    "bert": ("bert", generator(heads=16, depth=3)),
    "uvit": ("uvit", generator(heads=4, depth=4)),
    "vqgan": ("vqgan", {"dataset": {"preprocessing": {"crop_size": 64}}}),
}
FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "s-128": (
        "titok",
        tokenizer(
            encoder="small",
            decoder="small",
            size=256,
            patch=16,
            tokens=128,
            **{**TWO_STAGE, "codebook_size": 4096},
        ),
    ),
}


def batches(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """The rows of all in batches; the second batch is not contiguous in memory."""
    parts = [list(tensor.split(BATCHES)) for tensor in tensors]
    for part in parts:
        part[1] = part[1].transpose(0, -1).contiguous().transpose(0, -1)
    return list(zip(*parts, strict=True))


def joined(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}


@torch.no_grad()
def run_tokenizer(model: nn.Module, config: dict[str, Any]) -> dict[str, Tensor]:
    """Ids, what the encoder says, logits of the proxy codes and pixels, in this code's order."""
    peer: Any = model
    vq, size = config["model"]["vq_model"], config["dataset"]["preprocessing"]["crop_size"]
    reads = (
        [recipe.text(COUNT, vq["text_context_length"], vq["text_embed_dim"])]
        if "text_context_length" in vq
        else []
    )
    rows = []
    for pixels, *text in batches(recipe.images(COUNT, size), *reads):
        said = peer.encoder(pixel_values=pixels, latent_tokens=peer.latent_tokens)
        out = {"encoded": said[:, :, 0].transpose(1, 2)}
        if peer.quantize_mode == "vq":
            tokens = peer.encode(pixels)[1]["min_encoding_indices"]
            out["ids"] = tokens[:, 0]
            vectors = peer.quantize(said)[0]
        else:
            tokens = vectors = peer.quantize(said).mean
        if vq["finetune_decoder"]:
            out["logits"] = peer.decoder(vectors).flatten(2).transpose(1, 2)
        out["pixels"] = peer.decode_tokens(tokens, *text)
        rows.append(out)
    return joined(rows)


@torch.no_grad()
def run_vqgan(model: nn.Module, config: dict[str, Any]) -> dict[str, Tensor]:
    peer: Any = model
    rows = []
    for (pixels,) in batches(recipe.images(COUNT, config["dataset"]["preprocessing"]["crop_size"])):
        ids = peer.encode(pixels)
        drawn = peer.decoder(peer.quantize.get_codebook_entry(ids))
        rows.append(
            {
                "ids": ids,
                "encoded": peer.encoder(pixels).flatten(2).transpose(1, 2),
                "pixels": drawn,
            }
        )
    return joined(rows)


SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"guidance_scale": 3.0},
    "linear": {"guidance_scale": 4.5},
    "power-cosine": {"guidance_scale": 6.9, "guidance_scale_pow": 3.0},
}


@torch.no_grad()
def run_generator(model: nn.Module, config: dict[str, Any]) -> dict[str, Tensor]:
    """Logits, and codes drawn by every schedule, without noise and with the noise of seeds."""
    peer: Any = model
    sizes = config["model"]["generator"]
    number, tokens = sizes["condition_num_classes"], sizes["image_seq_len"]
    ids, hidden = recipe.masked(COUNT, tokens, peer.target_codebook_size)
    ids = ids.masked_fill(hidden, peer.mask_token_id)
    labels = recipe.classes(COUNT, number)
    # Nothing in particular is the class after the last.
    asked = labels.masked_fill(labels < 0, number)
    out = joined(
        [{"logits": peer(row, label, cond_drop_prob=0)} for row, label in batches(ids, asked)]
    )
    for name, guidance in SCHEDULES.items():
        for annealed in (False, True):
            flags = {"softmax_temperature_annealing": annealed, "num_sample_steps": 6}
            key = f"{name}{'-annealed' if annealed else ''}"
            out[f"{key}-still"] = peer.generate(
                torch.arange(4), guidance_decay=name, randomize_temperature=0, **guidance, **flags
            )
            drawn = []
            for seed in range(4):
                with uniform_from(seed):
                    drawn.append(
                        peer.generate(
                            torch.tensor([seed]),
                            guidance_decay=name,
                            randomize_temperature=2.5,
                            **guidance,
                            **flags,
                        )
                    )
            out[f"{key}-noisy"] = torch.cat(drawn)
    return out


def record(peer: Peer, name: str, kind: str, config: dict[str, Any]) -> None:
    model = peer.build(kind, config)
    if kind == "vqgan":
        out = run_vqgan(model, config)
    elif kind in ("titok", "tatitok"):
        out = run_tokenizer(model, config)
    else:
        out = run_generator(model, config)
    if name in FULL:
        out["logits"] = out["logits"][:2, ::16, ::16].clone()
        out["encoded"] = out["encoded"][:, ::8].clone()
    if "pixels" in out:
        out["pixels"] = out["pixels"][..., 1::16, 1::16] if name in FULL else out["pixels"]
        out["pixels"] = out["pixels"][..., 1::2, 1::2] if name not in FULL else out["pixels"]
    about = {"kind": kind, "config": config, "shapes": shapes(model)}
    (FOLDER / f"{name}.json").write_text(json.dumps(about, separators=(",", ":")) + "\n")
    numbers = {
        key: value.to(torch.int16 if value.dtype == torch.int64 else value.dtype).numpy()
        for key, value in out.items()
    }
    np.savez_compressed(FOLDER / f"{name}.npz", **numbers)
    print(name, {key: value.shape for key, value in numbers.items()})


def main(root: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    for tiny, models in ((True, TINY), (False, FULL)):
        peer = Peer(root, tiny=tiny)
        for name, (kind, config) in models.items():
            record(peer, name, kind, config)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
