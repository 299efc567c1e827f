"""Low-rank adapters in a network that is trained, and the plain network with them merged."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

from textok.config.lora import LoraConfig

Network = TypeVar("Network", bound=nn.Module)


def add_adapters(network: nn.Module, config: LoraConfig, *, under: str = "") -> None:
    """Freeze ``network`` and put adapters into the linear layers of its blocks, in place.

    They change nothing before they are trained: W x + alpha / rank B A x with B = 0 (Hu et al.
    2021, section 4.1). ``under`` restricts them to the part of that name; the layers of the
    conditions (``modulation``) have none. Raises ValueError where peft is missing.
    """
    try:
        from peft import LoraConfig as Settings
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise ValueError(
            f"lora.rank is above 0 but peft is missing ({error}): pip install 'textok[lora]'"
        ) from error

    layers = adapted_layers(network, under=under)
    settings = Settings(r=config.rank, lora_alpha=config.alpha, target_modules=layers)  # type: ignore[arg-type]
    inject_adapter_in_model(settings, network)


def adapted_layers(network: nn.Module, *, under: str = "") -> list[str]:
    """Names of the attention and MLP layers of all blocks."""
    found = []
    for name, layer in network.named_modules():
        words = name.split(".")
        inside = "blocks" in words and "modulation" not in words and under in ("", words[0])
        if inside and isinstance(layer, nn.Linear):
            found.append(name)
    assert found, f"no linear layers in blocks of {type(network).__name__}"
    return found


def merged(network: Network) -> Network:
    """A copy whose weights have the adapters added, as if there had been none.

    A network without adapters is returned itself.
    """
    if not hasattr(network, "peft_config"):
        return network
    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(network)
    for name, layer in list(plain.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            plain.set_submodule(name, layer.get_base_layer())
    del plain.peft_config
    return plain
