"""A model as the page uses it: a tokenizer, perhaps a generator, and what they can do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import torch

from textok.config import TokenizerConfig
from textok.config.generator import GeneratorConfig, Sampler, SamplingOptions
from textok.demo.limits import GUIDANCE
from textok.evaluate.measure import count_bits, count_floats
from textok.metrics.image import ImageMetric, perceptual_metric
from textok.nn.efficientnet_lite import load_efficientnet_lite0
from textok.pipeline import Reconstructor, TextToImage
from textok.pipeline.folder import SETTINGS
from textok.runtime.pretrained import find_folder


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A tokenizer, its generator if it has one, and the perceptual distance if it is available."""

    name: str
    """The name that the model was loaded by."""
    reconstructor: Reconstructor
    pipe: TextToImage | None = None
    perceptual: ImageMetric | None = None
    lacks: str = ""
    """Why there is no perceptual distance."""

    @property
    def config(self) -> TokenizerConfig:
        return self.reconstructor.config

    @property
    def reads_text(self) -> bool:
        return self.config.text != "none"

    @property
    def samples(self) -> bool:
        """Whether the decoder makes another image of the same tokens from other noise."""
        return self.config.decoding == "flow"

    @property
    def fewest_tokens(self) -> int:
        """Those that an image can be decoded from, of a nested tokenizer."""
        return self.reconstructor.tokenizer.fewest_tokens

    @property
    def draws_classes(self) -> bool:
        return self.pipe is not None and self.pipe.generator.config.condition == "class"

    @property
    def classes(self) -> list[str]:
        """Names of those that are generated."""
        return [] if self.pipe is None else self.pipe.classes

    @cached_property
    def samplers(self) -> list[Sampler]:
        """Those that fit the generator."""
        return [name for name in get_args(Sampler) if self._draws_by(name)]

    @property
    def guidance(self) -> tuple[float, float]:
        """The least and the greatest scale of guidance, among those that the page offers."""
        config = None if self.pipe is None else self.pipe.generator.config
        if not isinstance(config, GeneratorConfig) or config.objective.name != "meanflow":
            return 0.0, GUIDANCE
        assert self.pipe is not None
        none = 0.0 if self.pipe.sampling.guidance.form == "added" else 1.0
        return none, min(GUIDANCE, none + config.objective.max_guidance - 1)

    def _draws_by(self, sampler: Sampler) -> bool:
        if self.pipe is None:
            return False
        try:
            sampling = SamplingOptions(sampler=sampler).applied_to(self.pipe.sampling)
            self.pipe.generator.config.check_sampling(sampling)
        except ValueError:
            return False
        return True

    def tokens(self, k: int | None = None) -> str:
        """What an image is kept as, in words: "16 tokens of 8 numbers"."""
        codes = self.config.codebook_size
        each = f"out of {codes:,} codes" if codes else f"of {self.config.channels} numbers"
        k = self.config.num_tokens if k is None else k
        return f"{k} token{'' if k == 1 else 's'} {each}"

    def bits(self, k: int | None = None) -> str:
        """How much that is: "2,048 bits, as many as 128 numbers of 16 bits"."""
        k = self.config.num_tokens if k is None else k
        bits, floats = count_bits(self.config, k), count_floats(self.config, k)
        return f"{bits:,} bits, as many as {floats:,} numbers of 16 bits"


def open_studio(name: str, *, device: torch.device | str = "cpu") -> Studio:
    """Load a pipeline or a tokenizer: ``products``, a folder or a hub name.

    Raises ValueError naming the file or setting that does not fit.
    """
    pipe = None
    if (find_folder(name) / SETTINGS).is_file():
        pipe = TextToImage.from_pretrained(name, device=device)
        reconstructor = Reconstructor(pipe.tokenizer, device=device)
    else:
        reconstructor = Reconstructor.from_pretrained(name, device=device)
    try:
        network = load_efficientnet_lite0().to(device)
    except ValueError as error:
        return Studio(name=name, reconstructor=reconstructor, pipe=pipe, lacks=str(error))
    return Studio(
        name=name, reconstructor=reconstructor, pipe=pipe, perceptual=perceptual_metric(network)
    )
