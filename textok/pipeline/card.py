"""The model card that travels with a pipeline."""

from __future__ import annotations

from textok.config import TextConfig
from textok.config.generator import SamplingConfig, TokenGeneratorConfig
from textok.config.tokenizer import TokenizerConfig
from textok.runtime.card import card_header
from textok.tokenizer.card import ARCHITECTURES

TASKS = {"text": "text-to-image", "class": "unconditional-image-generation"}
"""The hub's task of a generator by what it is asked by: it has none of its own for classes."""
TAGS = {"text": "text-to-image", "class": "class-conditional-image-generation"}


def pipeline_card(
    tokenizer: TokenizerConfig,
    generator: TokenGeneratorConfig,
    *,
    text: TextConfig | None,
    sampling: SamplingConfig,
    example: str,
) -> str:
    """Markdown with the hub's header; ``example`` is a prompt, or the name of a class."""
    facts = generator.facts()
    architecture = f"{facts.pop('architecture')} on the tokens of {ARCHITECTURES[tokenizer.layout]}"
    by_class = generator.condition == "class"
    rows = [
        ("image", f"{tokenizer.image_size} x {tokenizer.image_size}"),
        *facts.items(),
        ("asked by", f"{generator.classes} classes" if by_class else "a caption"),
        ("text encoder", "none" if text is None else text.encoder),
        ("sampling", f"{sampling.sampler}, {sampling.steps} step{'s' * (sampling.steps > 1)}"),
        ("guidance", f"{sampling.guidance.scale:g}, {sampling.guidance.schedule}"),
    ]
    if tokenizer.decoding == "flow":
        rows.append(("decoding", str(tokenizer.sampling)))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    call = f'pipe.of_class("{example}"' if by_class else f'pipe("{example}"'
    flag = f'--class "{example}"' if by_class else f'"{example}"'
    header = card_header(TASKS[generator.condition], tags=(TAGS[generator.condition],))
    return f"""{header}
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

Architecture: {architecture}, implemented by textok.
"""
