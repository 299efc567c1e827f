"""What the site adds to the pages of this folder while mkdocs builds it."""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"log.md": "LOG.md", "contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md"}
"""Pages of the site that lie in the repository's root."""
CLI = "reference/cli.md"
DRAW, HERE = "draw.md", "<!-- the page -->"
"""The document that leads to the page of the bundled model, and where in it the link stands."""
PAGE = Path(os.environ.get("TEXTOK_PAGE", ROOT / "build" / "draw"))
"""What `textok export web products` wrote; the site goes without it where there is none."""
OPEN = "[Open the page](draw/index.html){ .md-button .md-button--primary }"
ABSENT = (
    "*This copy of the site was built without the page: `make docs` adds it where npm can fetch "
    "onnxruntime-web, or `RUNTIME` names its file.*"
)
CODE = r"(?P<code>^```.*?^```|`[^`\n]+`)"
TARGET = r"(?P<target>(?!https?:|mailto:|#)[^)#\s]+)(?P<anchor>#\S*)?"
LINK = rf"(?P<image>!?)\[(?P<text>[^\]]*)\]\({TARGET}\)"
CODE_OR_LINK = re.compile(f"{CODE}|{LINK}", re.MULTILINE | re.DOTALL)

log = get_plugin_logger("site")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Entries of the navigation that end in a slash stand for the pages of that folder."""
    config.nav = _with_folders(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are not in this folder, and the page that runs the bundled model."""
    for page, source in FROM_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, CLI, content=cli_page()))
    if not has_page():
        log.info("built without the page of the bundled model: %s has none", PAGE)
        return files
    for path in sorted(PAGE.rglob("[!.]*")):
        if path.is_file():
            name = f"draw/{path.relative_to(PAGE).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **about: Any) -> str:
    """Links as the repository has them become links of the site.

    A file of the repository that is no page is named instead; one that does not exist is a warning.
    """
    here = FROM_ROOT.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    written = CODE_OR_LINK.sub(lambda found: _rewritten(found, here, page), markdown)
    if page.file.src_uri == DRAW:
        assert HERE in written
        return written.replace(HERE, OPEN if has_page() else ABSENT)
    return written


def has_page() -> bool:
    """Whether there is a whole page of the bundled model; its index.html is written last."""
    return (PAGE / "index.html").is_file()


def cli_page() -> str:
    """The help of every command, as the commands say it."""
    from textok.cli.main import COMMANDS, main

    lines = ["# Command line", "", "What `textok COMMAND --help` prints, for every command.", ""]
    os.environ["COLUMNS"] = "78"
    for name in COMMANDS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main([*name.split(), "--help"])
        lines += [f"## textok {name}", "", "```text", said.getvalue().strip(), "```", ""]
    return "\n".join(lines)


def _rewritten(found: re.Match[str], here: str, page: Page) -> str:
    """Code as it is; a link of the page ``here``, a path in the repository, as the site has it."""
    if found["code"]:
        return found[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(here), found["target"]))
    pages = {source: shown for shown, source in FROM_ROOT.items()}
    if path.startswith("docs/") or path in pages:
        start = posixpath.dirname(page.file.src_uri) or "."
        target = posixpath.relpath(pages.get(path, path.removeprefix("docs/")), start)
        return f"{found['image']}[{found['text']}]({target}{found['anchor'] or ''})"
    if not (ROOT / path).exists():
        log.warning("'%s' links to '%s', which does not exist", here, found["target"])
    named = found["text"].strip("`")
    return f"`{path}`" if named in (path, posixpath.basename(path)) else f"{named} (`{path}`)"


def _with_folders(nav: Any, docs: Path) -> Any:
    """The navigation with folders as their pages; a folder without any is left out."""
    if isinstance(nav, list):
        return [entry for part in nav if (entry := _with_folders(part, docs))]
    if isinstance(nav, dict):
        entries = {title: _with_folders(part, docs) for title, part in nav.items()}
        return {title: entry for title, entry in entries.items() if entry}
    return _folder(docs / nav, docs) if isinstance(nav, str) and nav.endswith("/") else nav


def _folder(folder: Path, docs: Path) -> list[Any]:
    """Its own pages, README.md first, then its sub-folders, in which place is title."""

    def in_order(pages: Iterable[Path]) -> list[Path]:
        return sorted(pages, key=lambda page: (page != page.parent / "README.md", page))

    entries: list[Any] = [str(page.relative_to(docs)) for page in in_order(folder.glob("*.md"))]
    for part in sorted(path for path in folder.glob("*") if path.is_dir()):
        titled = [
            str(page.relative_to(docs))
            if page.name == "README.md"
            else {str(page.relative_to(part).with_suffix("")): str(page.relative_to(docs))}
            for page in in_order(part.rglob("*.md"))
        ]
        if titled:
            entries.append({part.name.replace("-", " ").capitalize(): titled})
    return entries
