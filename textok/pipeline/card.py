"""The model card that travels with a pipeline."""

from __future__ import annotations

from textok.config import TextConfig
from textok.config.generator import GeneratorConfig, SamplingConfig
from textok.config.tokenizer import TokenizerConfig


def pipeline_card(
    tokenizer: TokenizerConfig,
    generator: GeneratorConfig,
    *,
    text: TextConfig | None,
    sampling: SamplingConfig,
    example: str,
) -> str:
    """Markdown with the hub's header; ``example`` is a prompt, or the name of a class."""
    network, objective = generator.network, generator.objective
    by_class = generator.condition == "class"
    rows = [
        ("image", f"{tokenizer.image_size} x {tokenizer.image_size}"),
        ("latent", f"{generator.num_tokens} tokens x {generator.channels}"),
        ("network", f"DiT, width {network.width}, depth {network.depth}, {network.heads} heads"),
        ("trained by", objective.name),
        ("asked by", f"{generator.classes} classes" if by_class else "a caption"),
        ("text encoder", "none" if text is None else text.encoder),
        ("sampling", f"{sampling.sampler}, {sampling.steps} steps"),
        ("guidance", f"{sampling.guidance.scale:g}, {sampling.guidance.schedule}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    call = f'pipe.of_class("{example}"' if by_class else f'pipe("{example}"'
    flag = f'--class "{example}"' if by_class else f'"{example}"'
    tag = "class-conditional-image-generation" if by_class else "text-to-image"
    return f"""---
library_name: textok
tags:
- {tag}
- textok
---

# Pictures out of {generator.num_tokens} tokens

| | |
|---|---|
{table}

```python
from textok.pipeline import TextToImage

pipe = TextToImage.from_pretrained("THIS_FOLDER_OR_REPOSITORY")
pictures = {call}, num_images=4, seed=0)
```

    textok generate {flag} --model THIS_FOLDER_OR_REPOSITORY

`tokenizer/` is the image tokenizer: this folder can be named wherever textok takes a tokenizer.

Architecture: DiT (Peebles & Xie, ICCV 2023, arXiv 2212.09748) on the tokens of TexTok (Zha et al.,
CVPR 2025, arXiv 2412.05796), implemented by textok.
"""
