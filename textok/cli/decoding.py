"""The options of every command that decodes: how a decoder that samples does it."""

from __future__ import annotations

from typing import Annotated

from tyro.conf import arg

from textok.config.decoding import DecodingOptions

Decoding = Annotated[DecodingOptions, arg(name="")]
"""Its fields are options themselves: ``--decoding-steps``, ``--caption-guidance``."""
