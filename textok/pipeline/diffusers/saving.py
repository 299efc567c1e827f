"""Saving and uploading with the arguments of diffusers, for what textok writes itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from textok.config.check import require
from textok.runtime.repository import UPLOADED, push_folder

UPLOAD = ("repo_id", "commit_message", "private", "token", "create_pr", "revision")
"""Arguments of ``push_to_hub``, which ``save_pretrained`` takes beside ``push_to_hub=True``."""


class DiffusersSaving:
    """``save_pretrained`` and ``push_to_hub`` of a class of diffusers.

    Weights are safetensors in one file a network, so that a variant, other formats and an upload
    into a sub-folder are refused; ``max_shard_size`` and what is about processes is not needed.
    """

    def write_files(self, folder: Path, *, precision: torch.dtype | None) -> None:
        """Write the files, weights in ``precision``."""
        raise NotImplementedError

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        precision: torch.dtype | None = None,
        push_to_hub: bool = False,
        safe_serialization: bool = True,
        variant: str | None = None,
        **others: Any,
    ) -> Path:
        """Write the files, weights in ``precision``, and upload them if asked; returns the folder.

        The repository is ``repo_id``, or has the name of the folder. Raises ValueError for a folder
        that holds something else, and for a variant or other formats than safetensors.
        """
        _check(safe_serialization, variant)
        folder = Path(folder)
        self.write_files(folder, precision=precision)
        if push_to_hub:
            asked = {name: others[name] for name in UPLOAD if name in others}
            self._upload(folder, **{"repo_id": folder.name, **asked})
        return folder

    def push_to_hub(
        self,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        create_pr: bool = False,
        safe_serialization: bool = True,
        variant: str | None = None,
        subfolder: str | None = None,
        *,
        revision: str | None = None,
    ) -> str:
        """Upload to the hub repository ``repo_id``, or to its branch ``revision``; its address.

        With ``create_pr`` as a pull request. Raises ValueError for what ``save_pretrained`` does
        not write, and where the hub refuses.
        """
        require(
            not subfolder, f"subfolder is '{subfolder}': textok writes to the top, leave it out"
        )
        _check(safe_serialization, variant)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            self.write_files(folder, precision=None)
            return self._upload(
                folder,
                repo_id=repo_id,
                commit_message=commit_message,
                private=private,
                token=token,
                create_pr=create_pr,
                revision=revision,
            )

    def _upload(
        self,
        folder: Path,
        *,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        **others: Any,
    ) -> str:
        message = UPLOADED if commit_message is None else commit_message
        return push_folder(folder, repo_id, private=bool(private), commit_message=message, **others)


def _check(safe_serialization: bool, variant: str | None) -> None:
    require(variant is None, "textok takes no variant: leave it out")
    require(safe_serialization, "safe_serialization is False: textok writes safetensors alone")
