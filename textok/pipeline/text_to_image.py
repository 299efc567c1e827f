"""Captions or classes in, images out: text encoder, generator, scale and tokenizer joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from textok.config import DecodingConfig
from textok.config.bundled import BUNDLED
from textok.config.check import require, require_text, whole_number
from textok.config.generator import SamplingConfig, SamplingOptions
from textok.config.networks import CompileMode, RunPrecision
from textok.data.class_captions import ClassCaptions
from textok.data.pixels import to_pil
from textok.nn.linear import use_packed
from textok.pipeline.compile import compile_drawing
from textok.pipeline.decoder_text import open_decoder_text
from textok.pipeline.folder import PipelineParts, load_pipeline, save_pipeline
from textok.pipeline.guide import Guides
from textok.pipeline.image_request import ImageRequest, image_requests
from textok.pipeline.inputs import Captions, checked, read_text
from textok.runtime.device import check_dtype, check_precision, pick_device, run_in
from textok.runtime.repository import Pushable
from textok.text import TextFeaturesSource, open_features
from textok.types import Condition, TextFeatures

BATCH_SIZE = 16
OnStep = Callable[[int], None]


class TextToImage(Pushable):
    """A generator and its tokenizer that take prompts, or names of classes.

    Image j of every prompt has the seed ``seed + j``, and all its chance follows from that: it
    is the same, to one level of 255, whatever else is generated. Text encoders are loaded at the
    first caption, one only where the generator and the tokenizer read the same. ``precision`` is
    what generator and tokenizer run in (``textok.runtime.device.run_in``). The networks of
    ``parts`` are moved and converted as they are, not copied.
    """

    def __init__(
        self,
        parts: PipelineParts,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: RunPrecision = "fp32",
    ) -> None:
        check_precision(device, precision)
        self.precision: RunPrecision = precision
        self.parts = parts
        self.sampling = parts.sampling
        self.classes = list(parts.classes)
        self.device = torch.device(device)
        self.tokenizer = parts.tokenizer.to(device, dtype).eval()
        self.generator = parts.generator.to(device, dtype).eval()
        self._scale = None if parts.scale is None else parts.scale.to(device)
        self._prompts: TextFeaturesSource | None = None
        if self.generator.config.condition == "text":
            assert parts.text is not None
            self._prompts = open_features(parts.text, device=device, one_by_one=True)
        self._captions = open_decoder_text(parts, self._prompts, device=device)
        self.guides = Guides(parts)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = BUNDLED,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: RunPrecision = "fp32",
        revision: str | None = None,
        token: str | None = None,
    ) -> TextToImage:
        """Load ``products`` (the bundled model), a folder or a hub name.

        ``revision`` is a branch, tag or commit of a repository, also written ``name@revision``;
        ``token`` stands in for HF_TOKEN.

        Raises ValueError naming the file or setting that does not fit.
        """
        check_dtype(dtype)
        device = pick_device(str(device))
        parts = load_pipeline(name, revision=revision, token=token)
        for network in (parts.generator, parts.tokenizer):
            use_packed(network)
        return cls(parts, device=device, dtype=dtype, precision=precision)

    def compile(self, mode: CompileMode = "graph") -> None:
        """Generate faster from now on, on a GPU; see ``textok.config.networks.CompileMode``.

        The first images of each batch size and each sampling take longer, and ``on_step`` is told
        of all steps at the end. Without a CUDA device, without Triton, or where something cannot
        be recorded, a warning says so and generation goes on without. Raises ValueError for another
        mode.
        """
        compile_drawing(self.generator, self.tokenizer, mode, device=self.device)

    def __call__(
        self,
        prompts: Captions,
        *,
        num_images: int = 1,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        time_shift: float | None = None,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        negative: str | None = None,
        caption: str | None = None,
        batch_size: int = BATCH_SIZE,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """``num_images`` images of each prompt, those of the first prompt first.

        Args:
            prompts: What to generate; an empty prompt, or None, generates anything.
            num_images: Images a prompt.
            seed: Of each prompt's first image; the next has the next.
            steps: Of the sampler, instead of the model's own number.
            guidance: Scale of classifier-free guidance, instead of the model's own.
            time_shift: Of a flow's times, instead of the model's own; above 1 more steps near the
                noise.
            sampling: All of the sampler's settings, instead of the model's own.
            decoding: How a decoder that samples does it, instead of the tokenizer's own way.
            negative: What guidance leads away from; None or blank: from no condition.
            caption: What the tokenizer's decoder reads instead of the prompt.
            batch_size: Images at once.
            on_step: Told the number of steps done in a batch, after each.

        Raises ValueError for a generator that takes classes, and for settings that cannot be.
        """
        options = SamplingOptions(steps=steps, guidance=guidance, time_shift=time_shift)
        own = checked(SamplingConfig, sampling, "sampling") or self.sampling
        pictures = image_requests(prompts, num_images=num_images, seed=seed, caption=caption)
        self.expect("text", pictures, negative=negative)
        return self.draw(
            pictures,
            sampling=options.applied_to(own),
            decoding=decoding,
            negative=negative,
            batch_size=batch_size,
            on_step=on_step,
        )

    def of_class(
        self,
        names: Captions,
        *,
        num_images: int = 1,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        time_shift: float | None = None,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        negative: str | None = None,
        caption: str | None = None,
        batch_size: int = BATCH_SIZE,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """``num_images`` images of each class, with the settings of ``__call__``.

        The decoder reads ``caption``, or one that the image's seed draws from those known of the
        class: held out from training if there are such. ``negative`` is the name of a class.

        Raises ValueError for a class that there is not, and for a generator that takes prompts.
        """
        options = SamplingOptions(steps=steps, guidance=guidance, time_shift=time_shift)
        own = checked(SamplingConfig, sampling, "sampling") or self.sampling
        pictures = image_requests(names, num_images=num_images, seed=seed, caption=caption)
        self.expect("class", pictures, negative=negative)
        return self.draw(
            pictures,
            sampling=options.applied_to(own),
            decoding=decoding,
            negative=negative,
            batch_size=batch_size,
            on_step=on_step,
        )

    def expect(
        self,
        condition: Literal["text", "class"],
        pictures: Sequence[ImageRequest],
        *,
        negative: str | None = None,
    ) -> None:
        """Raise ValueError unless the generator makes ``pictures`` from such a condition."""
        found = self.generator.config.condition
        ask = {
            "text": "prompts, not classes: ask with a prompt",
            "class": "classes, not prompts: ask with `of_class`, on the command line --class",
        }
        require(found == condition, f"this generator takes {ask[found]}")
        if found == "class":
            for name in (read_text(negative, "negative"), *(one.condition for one in pictures)):
                self._label(name)

    def draw(
        self,
        pictures: Sequence[ImageRequest],
        *,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        negative: str | None = None,
        batch_size: int = BATCH_SIZE,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        """Generate each of ``pictures``, ``batch_size`` at once."""
        batch_size = whole_number("batch_size", batch_size, 1)
        drawn: list[Image.Image] = []
        for at in range(0, len(pictures), batch_size):
            images = self.draw_tensor(
                pictures[at : at + batch_size],
                sampling=sampling,
                decoding=decoding,
                negative=negative,
                on_step=on_step,
            )
            drawn += map(to_pil, images)
        return drawn

    @torch.inference_mode()
    def draw_tensor(
        self,
        pictures: Sequence[ImageRequest],
        *,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        negative: str | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """One batch as images (B, 3, H, W), not clamped."""
        require(len(pictures) > 0, "nothing to generate: give an image's request, or several")
        condition = self._condition([one.condition for one in pictures])
        seeds = [one.seed for one in pictures]
        sampling = checked(SamplingConfig, sampling, "sampling") or self.sampling
        decoding = checked(DecodingConfig, decoding, "decoding")
        leading = read_text(negative, "negative")
        away = self._condition([leading] * len(pictures)) if leading.strip() else None
        draw = self.guides.guided(sampling, negative=leading)
        with run_in(self.device, self.precision):
            tokens = draw(
                condition,
                sampling=sampling,
                seeds=seeds,
                negative=away,
                on_step=on_step,
            )
        features = self._features([self.decoder_caption(one) for one in pictures])
        if self._scale is not None:
            tokens = self._scale.denormalise(tokens)
        with run_in(self.device, self.precision):
            images: Tensor = self.tokenizer.decode(tokens, features, seeds=seeds, decoding=decoding)
        return images if self.precision == "fp32" else images.float()

    def save_pretrained(self, folder: str | Path, *, precision: torch.dtype | None = None) -> Path:
        """Write a pipeline folder, weights in ``precision``, whole or not at all."""
        return save_pipeline(folder, self.parts, precision=precision)

    def _condition(self, prompts: Sequence[str]) -> Condition:
        require_text("a prompt", *prompts)
        if self._prompts is not None:
            return Condition(text=self._prompts(prompts))
        labels = [self._label(name) for name in prompts]
        return Condition(labels=torch.tensor(labels, device=self.device))

    def _label(self, name: str) -> int:
        if not name.strip():
            return -1
        near = get_close_matches(name, self.classes, n=3) or self.classes[:5]
        require(
            name in self.classes,
            f"class '{name}' is unknown to this generator of {len(self.classes)} classes; there is "
            f"{', '.join(near)}",
        )
        return self.classes.index(name)

    def decoder_caption(self, one: ImageRequest) -> str:
        """What the decoder reads of an image: its caption, the prompt, or one of its class."""
        if one.caption is not None:
            return one.caption
        if self._prompts is not None or not one.condition.strip():
            return one.condition
        known = self.parts.class_captions.get(one.condition, ClassCaptions())
        return known.draw(one.condition, seed=one.seed)

    def _features(self, captions: Sequence[str]) -> TextFeatures | None:
        if self._captions is None or not any(caption.strip() for caption in captions):
            return None
        return self._captions(captions)
