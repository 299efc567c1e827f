"""What `textok demo` is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textok.config.bundled import BUNDLED
from textok.config.check import require_range


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """All of ``textok demo``."""

    ALIASES: ClassVar[dict[str, str]] = {"pipeline": "model"}

    model: str = BUNDLED
    """The bundled 'products', a pipeline or tokenizer folder, or a hub name."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 is every one of this machine, see docs/demo.md first."""
    port: int = 7860
    """Number of the port; 0 takes a free one."""
    device: str = "auto"
    """cpu, cuda, cuda:1, mps; auto takes a GPU where there is one."""

    def __post_init__(self) -> None:
        require_range("--port", self.port, 0, 65535)
