"""The model card that travels with a tokenizer."""

from __future__ import annotations

import math

from textok.config import TextConfig, TokenizerConfig
from textok.runtime.card import TOKENIZER_TASK, card_header

ARCHITECTURES = {
    "textok": "TexTok (Zha et al., CVPR 2025, arXiv 2412.05796)",
    "titok": "TiTok (Yu et al., NeurIPS 2024, arXiv 2406.07550)",
}

_WHERE = {
    "both": "the encoder and the decoder read the caption",
    "encoder": "the encoder alone reads the caption",
    "decoder": "the decoder alone reads the caption",
    "none": "no caption is read",
}

_DECODERS = {"regression": "predicts the image in one pass", "flow": "flow matching, {}"}


def _latent(config: TokenizerConfig) -> str:
    if config.bottleneck == "vq":
        bits = config.num_tokens * math.log2(config.codebook.size)
        return f"{config.num_tokens} tokens of {config.codebook.size} codes = {bits:.0f} bits"
    floats = config.num_tokens * config.channels
    return f"{config.num_tokens} tokens x {config.channels} = {floats} numbers"


def model_card(config: TokenizerConfig, text: TextConfig | None) -> str:
    """Markdown with the hub's header: what the model is and how to use it."""
    rows = [
        ("image", f"{config.image_size} x {config.image_size}, patch {config.patch_size}"),
        ("latent", _latent(config)),
        ("bottleneck", config.bottleneck + (", nested" if config.nested else "")),
        ("decoder", _DECODERS[config.decoding].format(config.sampling)),
        ("caption", _WHERE[config.text]),
        ("text encoder", "none" if text is None or config.text == "none" else text.encoder),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"""{card_header(TOKENIZER_TASK, tags=("image-tokenizer",))}
# A 1-D image tokenizer

| | |
|---|---|
{table}

```python
from textok.pipeline import Reconstructor

model = Reconstructor.from_pretrained("THIS_FOLDER_OR_REPOSITORY")
latents = model.encode(image, "what the image shows")
picture = model.decode(latents, "what the image shows")[0]
```

Architecture: {ARCHITECTURES[config.layout]}, implemented by textok.
"""
