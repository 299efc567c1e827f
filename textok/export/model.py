"""What of a model can be exported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from textok.config import TextConfig
from textok.config.check import require
from textok.config.decoding import AS_TRAINED, DecodingOptions
from textok.config.generator import SamplingConfig, SamplingOptions
from textok.generator import DiT
from textok.pipeline import PipelineParts, load_pipeline
from textok.pipeline.folder import SETTINGS, TOKENIZER
from textok.runtime.pretrained import find_folder
from textok.text.open import same_features
from textok.tokenizer import Tokenizer

MOST_PASSES = 32
"""Of a decoder that samples: all of them stand in its graph, one after another."""
DETERMINISTIC = ("euler", "heun", "ddim", "dpmpp", "meanflow")


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A tokenizer, and the pipeline around it where there is one."""

    name: str
    folder: Path
    tokenizer: Tokenizer
    parts: PipelineParts | None = None
    sampling: SamplingConfig | None = None
    """How images are sampled, where there is a generator."""

    @property
    def generator(self) -> DiT | None:
        generator = None if self.parts is None else self.parts.generator
        assert generator is None or isinstance(generator, DiT)
        return generator

    @property
    def caption_text(self) -> TextConfig | None:
        """Whose states the tokenizer reads."""
        reads = self.tokenizer.config.text != "none"
        return self.tokenizer.text_config if reads else None

    @property
    def prompt_text(self) -> TextConfig | None:
        """Whose states the generator reads."""
        by_text = self.generator is not None and self.generator.config.condition == "text"
        return self.parts.text if by_text and self.parts is not None else None

    @property
    def one_text(self) -> bool:
        """Whether tokenizer and generator read the same states."""
        caption, prompt = self.caption_text, self.prompt_text
        return caption is not None and prompt is not None and same_features(caption, prompt)


def open_model(
    name: str, options: SamplingOptions, decoding: DecodingOptions = AS_TRAINED
) -> ExportedModel:
    """Load a bundled name, a pipeline or tokenizer folder or a hub name.

    Raises ValueError for what cannot be read, and for what ONNX files cannot be made of: a decoder
    that samples in more than MOST_PASSES, a MaskGIT, samplers that add noise, guidance by a second
    generator.
    """
    folder = find_folder(name)
    if not (folder / SETTINGS).is_file():
        given = ", ".join(options.given)
        require(not given, f"{name}: has no generator to sample from: leave out {given}")
        tokenizer = Tokenizer.from_pretrained(folder)
        _prepare(tokenizer, name, decoding)
        return ExportedModel(name=name, folder=folder, tokenizer=tokenizer)
    parts = load_pipeline(folder)
    require(
        isinstance(parts.generator, DiT),
        f"{name}: its generator is a MaskGIT, which cannot be exported; its tokenizer can: name "
        f"{folder / TOKENIZER}",
    )
    assert isinstance(parts.generator, DiT)
    _prepare(parts.tokenizer, name, decoding)
    sampling = options.applied_to(parts.sampling)
    parts.generator.config.check_sampling(sampling)
    require(
        sampling.sampler in DETERMINISTIC,
        f"{name}: sampler '{sampling.sampler}' adds noise at each step, which is not exported: "
        f"choose --sampler {' or '.join(one for one in DETERMINISTIC if _fits(parts, one))}",
    )
    require(
        not sampling.guidance.guide,
        f"{name}: guidance by another generator ({sampling.guidance.guide}) is not exported: give "
        "--guide ''",
    )
    return ExportedModel(
        name=name, folder=folder, tokenizer=parts.tokenizer, parts=parts, sampling=sampling
    )


def _prepare(tokenizer: Tokenizer, name: str, options: DecodingOptions) -> None:
    """Make the tokenizer decode by ``options``. Raises ValueError where it cannot be exported."""
    decoding = tokenizer.config.sampled_by(options)
    if decoding is not None:
        require(
            decoding.passes <= MOST_PASSES,
            f"{name}: its decoder takes {decoding.passes} passes ({decoding}), at most "
            f"{MOST_PASSES} are exported: choose fewer with --decoding.steps, or distil it (the "
            "preset flow-one-step)",
        )
        tokenizer.config = replace(tokenizer.config, sampling=decoding)
    require(
        tokenizer.config.text == "none" or tokenizer.text_config is not None,
        f"{name}: the tokenizer reads captions but names no text encoder",
    )


def _fits(parts: PipelineParts, sampler: str) -> bool:
    """Whether the generator can be sampled by that sampler."""
    try:
        parts.generator.config.check_sampling(
            replace(parts.sampling, sampler=sampler)  # type: ignore[arg-type]
        )
    except ValueError:
        return False
    return True
