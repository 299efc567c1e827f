"""Hub repositories: fetched at a revision, and written to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from textok.config.check import require

REPORTS = "reports"
"""Folder of a repository that holds reports, which loading a model does not need."""
MAIN = "main"
UPLOADED = "Upload by textok"
"""Message of a commit."""
NETWORK = ("httpx", "httpx2", "httpcore", "requests", "urllib3")
"""Packages whose errors say that the hub was not reached."""


def split_revision(name: str) -> tuple[str, str | None]:
    """``me/model@v2`` as ``me/model`` and ``v2``; None where no revision is named.

    Raises ValueError for an ``@`` with nothing after it.
    """
    repo, at, revision = name.partition("@")
    require(not at or bool(revision), f"{name}: no revision after '@': a branch, tag or commit")
    return repo, revision or None


def check_token(token: str | None) -> None:
    """Raise ValueError, which does not show it, for what cannot be a token of the hub."""
    require(
        token is None
        or (bool(token) and token.isascii() and token.isprintable() and " " not in token),
        "token: empty, or holds spaces or other characters that no token has; copy it again",
    )


def is_repository(name: str) -> bool:
    """Whether ``name`` has the form ``user/name`` or ``user/name@revision``."""
    repo = name.partition("@")[0]
    return repo.count("/") == 1 and not repo.startswith((".", "~", "/"))


def fetch_repository(
    name: str, patterns: Sequence[str], *, revision: str | None = None, token: str | None = None
) -> Path:
    """The files of ``name`` that fit ``patterns``, fetched if they are not on this machine yet.

    ``revision`` is a branch, tag or commit, ``main`` where neither it nor ``name@revision`` says
    otherwise. Without ``token`` HF_TOKEN and the login of `hf auth login` count. Raises ValueError,
    one line, where there is no such repository or revision, for one that may not be read, and where
    the hub cannot be reached, or may not (HF_HUB_OFFLINE), and nothing was fetched before.
    """
    # What is on this machine is read without waiting for it.
    import huggingface_hub

    repo, named = split_revision(name)
    require(
        None in (revision, named) or revision == named,
        f"{name}: another revision than revision={revision}: name one",
    )
    check_token(token)
    with _told(repo, revision := revision or named):
        found = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=[f"{REPORTS}/*"],
            token=token,
        )
    return Path(found)


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    commit_message: str = UPLOADED,
    create_pr: bool = False,
) -> str:
    """Upload a folder as one commit to the hub repository ``repo_id``; returns its address.

    With ``create_pr`` the commit is a pull request.

    The repository is made if need be, for its owner's eyes alone if ``private``, and so is the
    branch ``revision``. Raises ValueError, one line, for a repository that exists and is public
    where ``private`` is asked for, and where the hub refuses.
    """
    import huggingface_hub

    check_token(token)
    with _told(repo_id, revision, writing=True):
        api = huggingface_hub.HfApi(token=token)
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo_id).private:
            raise ValueError(
                f"{repo_id}: exists and is public: make it private first, or name another"
            )
        if revision is not None and revision != MAIN and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        return str(
            api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message,
                create_pr=create_pr,
            )
        )


@contextmanager
def _told(repo: str, revision: str | None, *, writing: bool = False) -> Iterator[None]:
    """Turn what the hub refuses into one line, which never holds a token."""
    try:
        yield
    except Exception as error:
        reason = _reason(error, revision, writing=writing)
        if reason is None:
            raise
        raise ValueError(f"{repo}: {reason}") from error


def _reason(error: Exception, revision: str | None, *, writing: bool) -> str | None:
    """What is told of an error of the hub; None of any other."""
    from huggingface_hub import constants, errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    kind = type(error).__name__
    access = "write" if writing else "read"
    login = f"HF_TOKEN in the environment, of one with {access} access, or `hf auth login`"
    if isinstance(error, errors.HFValidationError):
        return "not a hub name, which is user/name"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision '{revision or MAIN}': name a branch, tag or commit"
    if isinstance(error, errors.GatedRepoError):
        return f"gated: accept its terms on its page of the hub, then give a token ({login})"
    if status in (401, 403) or isinstance(error, errors.LocalTokenNotFoundError):
        return f"the hub refuses ({kind}): it needs a token ({login}), or has no such repository"
    if isinstance(error, errors.HfHubHTTPError):
        return f"no such hub repository, or the hub refuses ({kind}, {status})"
    reached = isinstance(error, OSError) or type(error).__module__.partition(".")[0] in NETWORK
    if not reached or (isinstance(error, OSError) and error.filename is not None):
        return None
    if constants.HF_HUB_OFFLINE:
        if writing:
            return "HF_HUB_OFFLINE is set: unset it to upload"
        at = f" at revision '{revision}'" if revision else ""
        return (
            f"HF_HUB_OFFLINE is set and no whole copy is on this machine{at}: fetch it once with "
            "HF_HUB_OFFLINE=0, or name a folder"
        )
    return f"the hub cannot be reached ({kind}), and there is no such folder"


class Pushable:
    """What is uploaded to the hub as it is saved."""

    def save_pretrained(self, folder: str | Path, *, precision: torch.dtype | None = None) -> Path:
        """Write a folder, weights in ``precision``."""
        raise NotImplementedError

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        revision: str | None = None,
        token: str | None = None,
    ) -> str:
        """Upload to the hub repository ``repo_id``, or to its branch ``revision``; its address.

        `textok push` sends reports and the facts of a card with it.
        """
        with tempfile.TemporaryDirectory() as folder:
            model = self.save_pretrained(Path(folder) / "model")
            return push_folder(model, repo_id, private=private, revision=revision, token=token)
