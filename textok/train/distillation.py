"""What a flow decoder learns from another: in few steps, what that samples in many.

Each step of the student ends where as many of the teacher's end, on the teacher's path (Salimans &
Ho 2022, arXiv 2202.00512, section 3). With one step it predicts from the noise the image that the
teacher made of it (SSDD, arXiv 2510.04961). Legend: B micro-batch, N patches, P numbers a patch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from textok.config import TrainTokenizerConfig
from textok.config.check import require
from textok.config.decoding import DecodingConfig
from textok.diffusion.broadcast import over_tokens
from textok.runtime.blocks import compile_network
from textok.runtime.device import Precision, autocast, trained_in
from textok.text.open import same_features
from textok.tokenizer import FlowDraw, Tokenizer
from textok.tokenizer.decoder_input import DecoderInput, FlowTarget
from textok.tokenizer.flow_decoder import FlowDecoder
from textok.train.randomness import StepRandomness
from textok.types import TextFeatures


class Distillation:
    """Paths of a teacher, whose encoder is the student's too, in as many parts as it has steps.

    ``decoding`` is how the teacher samples, ``steps`` are the student's.
    """

    def __init__(
        self,
        teacher: Tokenizer,
        decoding: DecodingConfig,
        *,
        steps: int,
        precision: Precision = "fp32",
    ) -> None:
        assert isinstance(teacher.decoder, FlowDecoder) and decoding.steps % steps == 0
        self._teacher, self._decoder = teacher.eval().requires_grad_(False), teacher.decoder
        self._decoding, self._precision = decoding, precision
        self._times = teacher.decoder.objective.times(steps).float()
        """Of the student's steps, from 1 to 0."""

    @torch.no_grad()
    def __call__(
        self, images_B3HW: Tensor, text: TextFeatures | None, randomness: StepRandomness
    ) -> FlowDraw:
        """One training pass of the student, towards what the teacher makes of the same noise.

        From the teacher the same tokens and captions are hidden as from the student.
        """
        noise, drop_text = randomness.noise, randomness.drop_decoder_text
        assert noise is not None and randomness.time is not None and drop_text is not None
        with autocast(images_B3HW.device, self._precision):
            latents = self._teacher.encode(images_B3HW, text)
            normal = randomness.posterior
            known = DecoderInput(
                tokens=latents.mean if normal is None else latents.sample(normal),
                text=None if text is None else text.drop(drop_text),
                keep=randomness.keep,
            )
            path = list(self._decoder.path(known, noise, self._decoding))
        return FlowDraw(
            noise=noise,
            time=randomness.time,
            drop_text=drop_text,
            target=self._step([noise, *path], randomness.time),
        )

    def _step(self, path: list[Tensor], normal_B: Tensor) -> FlowTarget:
        """One of the student's steps along each row's path, from t to s.

        A step of DDIM from x_t by the prediction x' ends at (s / t) x_t + (1 - s / t) x': that is
        solved for the x' that leads to the teacher's x_s.
        """
        steps = len(self._times) - 1
        each = (len(path) - 1) // steps
        states_SBNP = torch.stack(path[::each])
        # The normal distribution function of normal noise is uniform.
        place_B = (torch.special.ndtr(normal_B) * steps).long().clamp_max(steps - 1)
        rows_B = torch.arange(len(place_B), device=place_B.device)
        times = self._times.to(place_B.device)
        t_B, s_B = times[place_B], times[place_B + 1]
        start_BNP, end_BNP = (states_SBNP[place_B + more, rows_B] for more in (0, 1))
        share_B11 = over_tokens(s_B / t_B)
        images_BNP = (end_BNP - share_B11 * start_BNP) / (1 - share_B11)
        return FlowTarget(noisy=start_BNP, times=t_B, images=self._decoder.unpatchify(images_BNP))


def open_distillation(config: TrainTokenizerConfig, device: torch.device) -> Distillation | None:
    """That of ``loss.distillation``, whose teacher is ``init``; None where it is off.

    Raises ValueError where the teacher does not sample, samples images of another size, or reads
    other features of captions.
    """
    settings = config.loss.distillation
    if not settings.on:
        return None
    teacher = Tokenizer.from_pretrained(config.init)
    theirs, ours = teacher.config, config.tokenizer
    require(
        theirs.decoding == "flow",
        f"init {config.init} decodes by {theirs.decoding}: loss.distillation needs a teacher that "
        "decodes by flow",
    )
    require(
        theirs.image_size == ours.image_size,
        f"init {config.init} has images of {theirs.image_size} pixels a side, tokenizer.image_size "
        f"is {ours.image_size}: a student's images have the size of its teacher's",
    )
    require(
        theirs.flow.time_shift == ours.flow.time_shift,
        f"init {config.init} has tokenizer.flow.time_shift {theirs.flow.time_shift:g}, it is set "
        f"to {ours.flow.time_shift:g}: a student's steps are at times of its teacher's",
    )
    reads = teacher.text_config
    if reads is not None:
        require(
            same_features(reads, config.text, any_precision=True),
            f"init {config.init} reads captions by other settings of text than these, its encoder "
            f"is {reads.encoder}: a student reads what its teacher does",
        )
    if config.run.compile:
        compile_network(teacher)
    return Distillation(
        teacher.to(device),
        settings.teacher.applied_to(theirs.sampling),
        steps=ours.sampling.steps,
        precision=trained_in(device, config.run.precision),
    )
