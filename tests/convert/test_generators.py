"""Converted generators give the logits of the official ones, and draw the codes that they draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.convert import recipe
from tests.convert.conftest import Convert, recorded
from textok.config import GuidanceConfig, MaskGITConfig, SamplingConfig, ViTConfig
from textok.convert import convert_1d_tokenizer
from textok.convert.maskgit import published_sampling
from textok.generator import load_generator
from textok.generator.maskgit import MaskGIT
from textok.pipeline import load_pipeline
from textok.types import Condition

NAMES = ("bert", "uvit")
GUIDANCE = {
    "constant": GuidanceConfig(scale=3.0, form="added"),
    "linear": GuidanceConfig(scale=4.5, form="added", schedule="linear"),
    "power-cosine": GuidanceConfig(scale=6.9, schedule="power_cosine", power=3.0),
}


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_logits_are_theirs(name: str, converted: Convert) -> None:
    generator = load_generator(converted(name))
    assert isinstance(generator, MaskGIT)
    theirs = recorded(name).outputs["logits"]
    ids, hidden = recipe.masked(10, 16, 64)
    labels = recipe.classes(10, 10)

    ours = generator(ids, hidden, Condition(labels=labels))
    assert (ours - theirs).abs().max() < 1e-4
    turned = ids.T.contiguous().T
    alone = generator(turned[1:2], hidden[1:2], Condition(labels=labels[1:2]))
    assert (alone - theirs[1:2]).abs().max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("schedule", GUIDANCE)
@pytest.mark.parametrize("annealed", [False, True])
def test_drawn_codes_are_theirs(
    name: str, schedule: str, annealed: bool, converted: Convert
) -> None:
    """Without noise, and with the noise of the same uniform numbers."""
    generator = load_generator(converted(name))
    theirs = recorded(name).outputs
    for noise, temperature in (("still", 0.0), ("noisy", 2.5)):
        sampling = SamplingConfig(
            sampler="maskgit",
            steps=6,
            guidance=GUIDANCE[schedule],
            temperature=temperature,
            softmax_annealing=annealed,
        )
        drawn = generator.sample(
            Condition(labels=torch.arange(4)), sampling=sampling, seeds=range(4)
        )
        key = f"{schedule}{'-annealed' if annealed else ''}-{noise}"
        assert torch.equal(drawn, theirs[key].long())


def test_heads_are_published_ones_unless_config_says(tmp_path: Path) -> None:
    uvit = recorded("uvit")
    folder = uvit.write(tmp_path / "official")
    said = convert_1d_tokenizer(str(folder), tmp_path / "said")
    unsaid = convert_1d_tokenizer(str(folder / "pytorch_model.bin"), tmp_path / "unsaid")

    assert isinstance(said, MaskGIT) and isinstance(unsaid, MaskGIT)
    assert said.config.network == ViTConfig(width=64, depth=4, heads=4)
    assert unsaid.config.network == ViTConfig(width=64, depth=4, heads=16)


def test_with_a_tokenizer_it_is_a_pipeline(converted: Convert, tmp_path: Path) -> None:
    official = recorded("bert")
    shapes = official.shapes
    for key in ("model.lm_head.weight", "model.lm_head.bias"):
        shapes[key] = [256, *shapes[key][1:]]
    shapes["model.embeddings.word_embeddings.weight"] = [256 + 2 + 1000, 64]
    shapes["model.embeddings.position_embeddings.weight"] = [1 + 6, 64]
    source = official.write(tmp_path / "official")

    convert_1d_tokenizer(str(source), tmp_path / "ours", tokenizer=str(converted("two-stage")))

    parts = load_pipeline(tmp_path / "ours")
    assert parts.scale is None and parts.tokenizer.config.layout == "titok"
    assert len(set(parts.classes)) == 1000 and parts.classes[0] == "tench"
    assert json.loads((tmp_path / "ours" / "pipeline.json").read_text())["scale"] is None
    with pytest.raises(ValueError, match="do not belong together"):
        convert_1d_tokenizer(str(source), tmp_path / "no", tokenizer=str(converted("kl")))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("architecture", "tokens", "steps", "scale", "temperature"),
    [("bert", 32, 8, 4.5, 9.5), ("bert", 64, 8, 3.0, 11.0), ("uvit", 128, 64, 6.9, 2.8)],
)
def test_published_sampling(
    architecture: str, tokens: int, steps: int, scale: float, temperature: float
) -> None:
    config = MaskGITConfig(
        num_tokens=tokens, architecture="bert" if architecture == "bert" else "uvit"
    )
    sampling = published_sampling(config)
    assert (sampling.steps, sampling.temperature) == (steps, temperature)
    assert sampling.guidance.scale == scale and sampling.softmax_annealing
    assert (sampling.guidance.form == "added") == (sampling.guidance.schedule == "linear")
