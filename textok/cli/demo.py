"""``textok demo``."""

from __future__ import annotations

from typing import Annotated

from tyro.conf import arg

from textok.cli.device import pick_device
from textok.config.bundled import BUNDLED


def demo(
    *,
    model: Annotated[str, arg(metavar="MODEL", aliases=("--pipeline",))] = BUNDLED,
    host: str = "127.0.0.1",
    port: int = 7860,
    device: str = "auto",
) -> None:
    """Show a page that reconstructs, draws and explores pictures, in the browser.

    Example: textok demo --model runs/mine/model

    It works offline and tells nobody anything; Ctrl-C stops it.

    Args:
        model: The bundled 'products', a pipeline or tokenizer folder, or a hub name.
        host: Address to listen at; 0.0.0.0 is every one of this machine, see docs/demo.md first.
        port: Number of the port; 0 takes a free one.
        device: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.
    """
    from textok.demo.serve import serve

    serve(model, host=host, port=port, device=pick_device(device), announce=_announce)


def _announce(address: str) -> None:
    print(f"{address}  (Ctrl-C stops it)", flush=True)
