"""``textok doctor``."""

from __future__ import annotations

import os
import platform
import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from textok import __version__
from textok.cli.commands import NoSettings
from textok.config.check import require

if TYPE_CHECKING:
    from packaging.requirements import Requirement

USES = {
    "": "everything",
    "train": "textok train",
    "wandb": "training logs to Weights & Biases (run.tracker wandb)",
    "trackio": "training logs to trackio (run.tracker trackio)",
    "onnx": "textok export onnx, textok export web",
    "diffusers": "textok export diffusers",
    "lora": "fine-tuning by low-rank adapters (lora.rank)",
    "data": "textok data",
    "hf": "parquet files, sets of the Hugging Face hub (data.path hf://...), textok data export",
    "eval": "textok evaluate",
    "fid": "FID and Inception Score, with weights of their own",
    "demo": "textok demo",
    "offline": "the bundled model's text encoder and the feature network of FD-EffLite0",
    "bench": "benchmarks/",
    "docs": "the site (make docs)",
}
"""What each extra is for."""


def doctor(config: NoSettings) -> None:
    """Say what this machine has, and what textok lacks on it.

    Example: textok doctor

    Versions, devices, bundled models, LPIPS's weights, free disk, and the command that installs
    what is missing.
    Exits with 2 where a part is missing that textok cannot do without.
    """
    print(f"textok {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(_torch())
    print(_models())
    print(_lpips())
    for name, place in (("here", Path.cwd()), ("hub cache", _hub_cache())):
        print(f"free disk, {name}: {_free(place)} at {place}")
    print()
    missing = {extra: missing_of(extra) for extra in USES}
    width = max(map(len, USES))
    for extra, use in USES.items():
        lacks = missing[extra]
        state = f"missing {', '.join(lacks)}: {_install(extra)}" if lacks else "ok"
        print(f"{extra or 'needed':<{width}}  {state:<4}  ({use})")
    require(not missing[""], f"textok lacks {', '.join(missing[''])}: {_install('')}")


def missing_of(extra: str) -> list[str]:
    """The requirements of an extra, or of textok itself (""), that are not met here."""
    return [str(needed) for needed in _requirements()[extra] if not _is_met(needed)]


def _requirements() -> dict[str, list[Requirement]]:
    """By extra, as the installed package states them."""
    import importlib.metadata

    from packaging.requirements import Requirement

    found: dict[str, list[Requirement]] = defaultdict(list)
    for text in importlib.metadata.requires("textok") or []:
        needed = Requirement(text)
        marker, needed.marker = needed.marker, None
        for extra in USES:
            if marker is None:
                belongs = extra == ""
            else:
                belongs = extra != "" and marker.evaluate({"extra": extra})
            if belongs:
                found[extra].append(needed)
    return found


def _is_met(needed: Requirement) -> bool:
    import importlib.metadata

    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return needed.specifier.contains(version, prereleases=True)


def _install(extra: str) -> str:
    return f"pip install 'textok[{extra}]'" if extra else "pip install textok"


def _torch() -> str:
    """Version and devices, in one line."""
    try:
        import torch
    except ImportError as error:
        return f"torch: cannot be imported ({error})"
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        where = ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
    elif torch.backends.mps.is_available():
        where = "Apple GPU (mps)"
    else:
        cores = torch.get_num_threads()
        where = f"no GPU, {cores} threads, {torch.backends.cpu.get_cpu_capability()}"
    muon = "" if hasattr(torch.optim, "Muon") else "; no Muon (optim.name=muon needs torch >= 2.9)"
    return f"torch {torch.__version__}: {where}{muon}"


def _models() -> str:
    """The bundled model and the size of its weights."""
    from textok.config.bundled import BUNDLED
    from textok.runtime.pretrained import ASSETS, WEIGHTS

    weights = sorted((ASSETS / BUNDLED).rglob(WEIGHTS))
    sizes = [f"{file.parent.name} {file.stat().st_size / 1e6:.1f} MB" for file in weights]
    found = ", ".join(sizes) or "no weights: install textok again"
    return f"bundled model: {BUNDLED} ({found})"


def _lpips() -> str:
    """Whether LPIPS's weights are at hand."""
    from textok.nn.lpips import default_weights, load_lpips

    file = default_weights()
    if not file.is_file():
        return f"LPIPS weights: none at {file}: textok convert lpips (docs/evaluation.md)"
    try:
        load_lpips("alex")
    except ValueError as error:
        return f"LPIPS weights: {error}"
    return f"LPIPS weights: {file} ({file.stat().st_size / 1e6:.1f} MB)"


def _hub_cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _free(place: Path) -> str:
    """Of the disk on which ``place`` is or would be."""
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    writable = "" if os.access(there, os.W_OK) else ", not writable"
    return f"{shutil.disk_usage(there).free / 2**30:.1f} GiB{writable}"
