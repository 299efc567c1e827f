"""The options of every command that reads images: how the set is to be read."""

from __future__ import annotations

from typing import Annotated

from tyro.conf import arg

from textok.config.data import SourceConfig

Reading = Annotated[SourceConfig, arg(name="")]
"""Its fields are options themselves: ``--table``, ``--fit``."""

AS_IT_IS = SourceConfig()
"""What a folder says by itself."""
