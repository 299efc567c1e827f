"""What `textok generate` and `textok reconstruct` are told."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import ClassVar

from textok.config.bundled import BUNDLED
from textok.config.check import require, require_range
from textok.config.decoding import MOST_SEED, DecodingOptions
from textok.config.generator import SamplingOptions
from textok.config.networks import CompileSetting
from textok.config.request import PicturesConfig


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(PicturesConfig):
    """All of ``textok generate``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("prompt",)
    ALIASES: ClassVar[dict[str, str]] = {
        "class": "classes",
        "steps": "sampling.steps",
        "sampler": "sampling.sampler",
    }

    prompt: tuple[str, ...] = ()
    """What to generate; "" generates anything."""
    prompts: Path | None = None
    """File of more, one a line; blank lines and lines that start with # are skipped."""
    model: str | None = None
    """The bundled 'products' (if not given), a pipeline folder or a hub name."""
    caption: tuple[str, ...] = ()
    """What the tokenizer's decoder reads instead of the prompt; one for all, or each."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    out: Path = Path("generated")
    """Folder for sheet.png: rows are prompts, columns are seeds. An earlier one of textok's there
    is replaced, another file never."""
    separate: bool = False
    """Write a file for each image instead, as 000-a-red-apple-0.png."""
    repeat: Path | None = None
    """PNG to generate again into ``out``, of the same name; only ``model`` goes with it."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""
    compile: CompileSetting = "no"
    """For many images on a GPU: ``graph`` records sampling as CUDA graphs, ``blocks`` compiles
    before, ``autotune`` for minutes, ``fused`` takes Triton kernels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        file = next((path for path in (self.out, *self.out.parents) if path.is_file()), None)
        require(file is None, f"--out {self.out}: {file} is a file; name a folder")
        if self.repeat is not None:
            words = {"prompt": "the prompts", "prompts": "the prompts", "classes": "--class"}
            extra = [words.get(name, f"--{name.replace('_', '-')}") for name in self._beside()]
            require(
                not extra, f"--repeat generates what the file says: leave out {', '.join(extra)}"
            )

    def _beside(self) -> list[str]:
        """The settings that were changed and do not go with ``repeat``."""
        found = []
        for one in fields(self):
            value, default = getattr(self, one.name), one.default
            if is_dataclass(value) and hasattr(value, "given"):
                prefix = "decoding-" if one.name == "decoding" else ""
                found += [name if "_" in name else prefix + name for name in value.given]
            elif value != default and one.name not in (
                "repeat",
                "model",
                "out",
                "device",
                "compile",
            ):
                found.append(one.name)
        return found


@dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """All of ``textok reconstruct``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("images",)

    images: tuple[Path, ...] = ()
    """Image files; without any, a dozen drawings of products that ship with textok."""
    caption: tuple[str, ...] = ()
    """One for each image, or one for all."""
    model: str = BUNDLED
    """The bundled 'products', a tokenizer folder or a hub name."""
    out: Path = Path("reconstructed")
    """Folder for sheet.png and, with ``tokens``, tokens.safetensors. Earlier ones of textok's there
    are replaced, other files never."""
    num_tokens: tuple[int, ...] = ()
    """Keep this many tokens an image (a nested tokenizer takes any up to its own, one that samples
    also 0). Several: show each image at all of them."""
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    seed: int | None = None
    """Of a decoder that samples, beside each file's name; 0 if not given."""
    tokens: bool = False
    """Also write the tokens (float16 or codes), with the captions that they were made with."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        require_range("seed", self.seed or 0, 0, MOST_SEED)
