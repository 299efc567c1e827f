"""``TextToImage`` as a pipeline of diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from einops import rearrange
from torch import Tensor

from textok.config.check import require, whole_number
from textok.config.generator import SamplingOptions
from textok.data.pixels import to_pil
from textok.pipeline.diffusers.model import TexTokModel
from textok.pipeline.diffusers.saving import DiffusersSaving
from textok.pipeline.diffusers_folder import save_diffusers
from textok.pipeline.image_request import ImageRequest, image_requests
from textok.pipeline.text_to_image import BATCH_SIZE


class TexTokPipeline(DiffusersSaving, DiffusionPipeline):  # type: ignore[misc]
    """Generates what ``TextToImage`` generates, to the pixel, with the arguments of diffusers."""

    model_cpu_offload_seq = "model"

    def __init__(self, model: TexTokModel) -> None:
        super().__init__()
        self.register_modules(model=model)

    def write_files(self, folder: Path, *, precision: torch.dtype | None) -> None:
        """Write the files of ``textok export diffusers``, whole or not at all.

        Raises ValueError for a folder that holds anything but such a pipeline.
        """
        save_diffusers(folder, self.model.parts, precision=precision)

    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        class_labels: int | str | Sequence[int | str] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        num_images_per_prompt: int = 1,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        seed: int = 0,
        caption: str | None = None,
        output_type: Literal["pil", "np", "pt"] = "pil",
        return_dict: bool = True,
    ) -> Any:
        """``num_images_per_prompt`` images of each prompt, or of each class.

        Args:
            prompt: One or several, for a generator that reads captions.
            class_labels: Names or numbers of classes, for a generator that takes those.
            num_inference_steps: Of the sampler, instead of the model's own number.
            guidance_scale: Of classifier-free guidance, instead of the model's own.
            negative_prompt: What guidance leads away from; the name of a class where it takes them.
            num_images_per_prompt: Image j of a prompt has the seed ``seed + j``.
            generator: Its initial seed counts in place of ``seed``; of a list, one an image, each
                one's own. No state of it is used or changed.
            seed: Of each prompt's first image.
            caption: What the tokenizer's decoder reads instead of the prompt.
            output_type: PIL images, an array (B, H, W, 3) or a tensor (B, 3, H, W) in [0, 1].
            return_dict: An ``ImagePipelineOutput``, or a tuple.

        Raises ValueError for settings that cannot be, and for what the generator does not take.
        """
        require(output_type in ("pil", "np", "pt"), f"output_type is {output_type!r}: pil, np, pt")
        given = [one for one in (prompt, class_labels) if one is not None]
        require(len(given) == 1, "give a prompt, or class_labels")
        drawing, negative = self.model.drawing(), negative_prompt or ""
        conditions = prompt if class_labels is None else _names(class_labels, drawing.classes)
        several = generator is not None and not isinstance(generator, torch.Generator)
        first = generator.initial_seed() if isinstance(generator, torch.Generator) else seed
        pictures = image_requests(
            conditions, num_images=num_images_per_prompt, seed=first, caption=caption
        )
        if several:
            pictures = _seeded(pictures, generator)
        drawing.expect("class" if prompt is None else "text", pictures, negative=negative)
        options = SamplingOptions(steps=num_inference_steps, guidance=guidance_scale)
        sampling = options.applied_to(drawing.sampling)
        batches = range(0, len(pictures), BATCH_SIZE)
        with self.progress_bar(total=sampling.steps * len(batches)) as bar:
            drawn = [
                drawing.draw_tensor(
                    pictures[at : at + BATCH_SIZE],
                    sampling=sampling,
                    negative=negative,
                    on_step=lambda _: bar.update(),
                )
                for at in batches
            ]
        images = _converted(torch.cat(drawn), output_type)
        return ImagePipelineOutput(images=images) if return_dict else (images,)


def _names(labels: Any, classes: Sequence[str]) -> list[str]:
    """Names of classes that are given by name or number, of Python, numpy or torch."""
    if isinstance(labels, (Tensor, np.ndarray)):
        labels = labels.tolist()
    require(len(classes) > 0, "this generator takes prompts, not classes: ask with a prompt")
    several = isinstance(labels, Sequence) and not isinstance(labels, (str, bytes))
    return [_name(one, classes) for one in (labels if several else [labels])]


def _name(label: Any, classes: Sequence[str]) -> str:
    if isinstance(label, str):
        return label
    return classes[whole_number("class_labels", label, 0, len(classes) - 1)]


def _seeded(pictures: list[ImageRequest], generators: Any) -> list[ImageRequest]:
    """Each image with the seed of its own generator."""
    listed = isinstance(generators, (list, tuple))
    require(
        listed and all(isinstance(one, torch.Generator) for one in generators),
        f"generator is {generators!r}: give a torch.Generator, or a list of them",
    )
    seeds = [one.initial_seed() for one in generators]
    require(
        len(seeds) == len(pictures),
        f"generator: a list of {len(seeds)} for {len(pictures)} images: give one an image",
    )
    return [replace(one, seed=seed) for one, seed in zip(pictures, seeds, strict=True)]


def _converted(images_B3HW: Tensor, output_type: str) -> Any:
    if output_type == "pil":
        return [to_pil(image) for image in images_B3HW]
    scaled = (images_B3HW.float() / 2 + 0.5).clamp(0, 1).cpu()
    return scaled if output_type == "pt" else rearrange(scaled, "B c h w -> B h w c").numpy()
