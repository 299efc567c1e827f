"""The time of the text encoder whose features TexTok's decoder reads."""

from __future__ import annotations

import math
from statistics import median

import torch
import transformers
from torch import nn

from benchmarks.sampling_sides import Place
from benchmarks.sampling_timing import SECONDS_DECODING, Clock
from benchmarks.text_costs import LAYERS, XL, XXL
from textok.config.data import TextConfig

ENCODERS = {"google/t5-v1_1-xl": XL, "google/t5-v1_1-xxl": XXL}


@torch.inference_mode()
def time_text_encoder(text: TextConfig, captions: int, place: Place, clock: Clock) -> float | None:
    """Seconds of so many captions of the greatest length at once; None for other encoders than T5.

    One layer is timed, with random weights, and stands for all of them, which are equal: T5-XXL's
    encoder is 19 GB in fp32.
    """
    sizes = ENCODERS.get(text.encoder)
    if sizes is None:
        return None
    with torch.device(place.device):
        encoder: nn.Module = transformers.T5EncoderModel(sizes.config(layers=1))
        tokens = torch.zeros(captions, text.max_tokens, dtype=torch.int64)
    encoder.to(place.dtype).eval()
    run = place.compile(encoder)

    def encode() -> object:
        return run(input_ids=tokens)

    # The third call of a recorded graph is the first that only replays it.
    once = [clock.time(encode) for _ in range(3 if place.device == "cuda" else 2)][-1]
    times = [clock.time(encode) for _ in range(math.ceil(SECONDS_DECODING / once))]
    return LAYERS * median(times)
