"""Features of captions on disk: no caption goes through the text encoder twice."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from textok.config.data import TextConfig
from textok.runtime.counter import counter
from textok.runtime.processes import gather, join_processes
from textok.text.encoder import DTYPES, FrozenTextEncoder, load_text_encoder
from textok.text.folder import find_text_model
from textok.text.shard import SUFFIX, DamagedShard, FeatureShard, caption_key, write_shard
from textok.text.source import TextFeaturesSource
from textok.text.unread import tell_unread
from textok.types import TextFeatures

_BATCH = 32
_SHARD_BYTES = 128 << 20

_log = logging.getLogger(__name__)


class FeatureCache(TextFeaturesSource):
    """Features in ``folder/<fingerprint>/*.safetensors``, one folder for each encoder and settings.

    The encoder is loaded when a caption is missing, not before. Several processes may share the
    folder: shards are written under unique names, all or nothing, and never changed.

    Raises:
        ValueError: the encoder cannot be found, or the folder cannot be used.
    """

    def __init__(
        self, config: TextConfig, folder: Path, *, device: torch.device | str = "cpu"
    ) -> None:
        model = find_text_model(config.encoder)
        self.width = model.width
        self.fingerprint = model.fingerprint(config)
        self.folder = folder / self.fingerprint[:16]
        self._config = config
        self._device = device
        self._dtype, self._float8 = DTYPES[config.precision], config.store == "float8"
        self._encoder: FrozenTextEncoder | None = None
        self._shards: dict[Path, FeatureShard] = {}
        self._places: dict[bytes, tuple[FeatureShard, int]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"text.cache: cannot use {self.folder}: {error}") from error
        self._scan()

    @property
    def cut(self) -> int:
        return sum(shard.cut for shard in self._shards.values())

    def __call__(self, captions: Sequence[str]) -> TextFeatures:
        """Features (B, out_tokens, D) on the CPU; what is missing is encoded and stored."""
        rows = self._rows(captions)
        states_BTD = torch.zeros(len(rows), self._config.out_tokens, self.width, dtype=self._dtype)
        for out_TD, states in zip(states_BTD, rows, strict=True):
            out_TD[: len(states)] = states
        real_B = torch.tensor([len(states) for states in rows])
        mask_BT = torch.arange(states_BTD.shape[1]) < real_B[:, None]
        return TextFeatures(states=states_BTD, mask=mask_BT)

    def warm(self, captions: Sequence[str], progress: bool = True) -> None:
        """Encode and store every caption that is not stored yet, then let go of the encoder.

        Batches are cut from the whole list, not from what is missing of it, and stored whole: a
        warm-up that is interrupted and run again gives the same bits as one that ran through. Of
        several processes, which all call this, each encodes every so many-th batch.
        """
        rank, world_size = join_processes()
        self._add(captions, progress=progress and rank == 0, rank=rank, world_size=world_size)
        self._encoder = None
        gather(rank)
        self._scan()
        distinct = [caption for caption in dict.fromkeys(captions) if caption.strip()]
        tell_unread(self._config.encoder, self._unread(distinct), len(distinct))

    def _unread(self, captions: Sequence[str]) -> list[str]:
        """Those that are stored and have words that the encoder cannot read."""
        if not any(any(shard.unread) for shard in self._shards.values()):
            return []
        places = [(caption, self._places.get(caption_key(caption))) for caption in captions]
        return [caption for caption, at in places if at is not None and at[0].unread[at[1]]]

    def _rows(self, captions: Sequence[str]) -> list[Tensor]:
        """The real states (t, D) of each caption."""
        self._add(captions, progress=False)
        nothing = torch.zeros(0, self.width, dtype=self._dtype)
        places = [self._places.get(caption_key(caption)) for caption in captions]
        try:
            return [place[0].row(place[1]) if place else nothing for place in places]
        except DamagedShard as damage:
            self._set_aside(damage)
            return self._rows(captions)

    def _add(
        self, captions: Sequence[str], *, progress: bool, rank: int = 0, world_size: int = 1
    ) -> None:
        """Encode what is missing of this process's share of ``captions`` and store it.

        What is done is also stored when this is interrupted.
        """
        batches = self._batches(captions, rank, world_size)
        sharded = self._config.shard and world_size > 1
        rounds = max(gather(len(batches))) if sharded else len(batches)
        if not rounds:
            return
        if self._encoder is None or sharded:
            self._encoder = load_text_encoder(self._config, device=self._device, shard=sharded)
        pending = _Pending(float8=self._float8)
        try:
            with counter("text features", total=sum(map(len, batches)), shown=progress) as count:
                for batch in batches:
                    pending.encode(batch, self._encoder)
                    count(len(batch))
                    if pending.bytes >= _SHARD_BYTES:
                        pending.write(self.folder)
                for _ in range(rounds - len(batches)):
                    self._encoder([""])  # the others need this process's part of the weights
        finally:
            pending.write(self.folder)
            self._scan()

    def _batches(self, captions: Sequence[str], rank: int, world_size: int) -> list[list[str]]:
        """What is missing of each of this process's batches, where anything is."""
        distinct = {caption for caption in captions if caption.strip()}
        if not self._missing(distinct):
            return []
        self._scan()  # another process may have stored them since
        # Longest first: where memory does not suffice, it shows at once.
        order = sorted(distinct, key=lambda caption: (-len(caption), caption))
        starts = range(rank * _BATCH, len(order), world_size * _BATCH)
        parts = (self._missing(order[at : at + _BATCH]) for at in starts)
        return [part for part in parts if part]

    def _missing(self, captions: Iterable[str]) -> list[str]:
        return [caption for caption in captions if caption_key(caption) not in self._places]

    def _scan(self) -> None:
        """Open the shards that are new in the folder."""
        for path in sorted(self.folder.glob("*" + SUFFIX)):
            if path in self._shards:
                continue
            try:
                shard = FeatureShard(path, width=self.width, dtype=self._dtype, float8=self._float8)
            except DamagedShard as damage:
                self._set_aside(damage)
                continue
            self._shards[path] = shard
            for row, key in enumerate(shard.keys):
                self._places.setdefault(key, (shard, row))

    def _set_aside(self, damage: DamagedShard) -> None:
        """Rename a damaged shard and forget its captions."""
        aside = damage.path.with_suffix(SUFFIX + ".bad")
        _log.warning("text.cache: %s; kept as %s, its captions are encoded again", damage, aside)
        try:
            os.replace(damage.path, aside)
        except FileNotFoundError:
            pass  # another process was faster
        except OSError as error:
            raise ValueError(f"text.cache: {damage}, and cannot be renamed: {error}") from error
        self._shards.pop(damage.path, None)
        self._places = {
            key: place for key, place in self._places.items() if place[0].path != damage.path
        }


class _Pending:
    """Features that are encoded and not yet written."""

    def __init__(self, *, float8: bool) -> None:
        self._float8 = float8
        self._states: dict[bytes, Tensor] = {}
        self._unread: set[bytes] = set()
        self._cut = 0
        self.bytes = 0

    def encode(self, captions: Sequence[str], encoder: FrozenTextEncoder) -> None:
        cut = encoder.cut
        features = encoder(captions).to("cpu")
        unread = encoder.vocabulary.unread(captions)
        rows = zip(captions, features.states, features.mask, unread, strict=True)
        for caption, states, mask, lost in rows:
            real_TD, key = states[mask], caption_key(caption)
            self._states[key] = real_TD
            if lost:
                self._unread.add(key)
            self.bytes += real_TD.numel() if self._float8 else real_TD.nbytes
        self._cut += encoder.cut - cut

    def write(self, folder: Path) -> None:
        if self._states:
            write_shard(
                folder,
                states=self._states,
                cut=self._cut,
                unread=self._unread,
                float8=self._float8,
            )
        self._states, self._unread, self._cut, self.bytes = {}, set(), 0, 0
