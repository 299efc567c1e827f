"""The site builds without a warning or the network, and everything in it leads somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.export.test_runtime import FILES, folder
from textok.cli.main import COMMANDS
from textok.export.runtime import copy_runtime

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = (
    "caption config convert data evaluate export extract generator latents pipeline text tokenizer "
    "train vqgan"
).split()
"""Their public names are those that they export."""
ROOMS = ("metrics", "losses")
"""Rooms that export nothing: what their modules define is public."""
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page has, leads to and loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.navigation: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update({given.get("id", ""), given.get("name", "")} - {""})
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
            if "md-nav__link" in given.get("class", "").split():
                self.navigation.append(given["href"])
        if tag in LOADED and given.get("rel", "") not in ("next", "prev", "canonical"):
            self.loads.append(given.get(LOADED[tag], ""))

    def target(self, link: str) -> Path:
        """The file that a link without its anchor leads to."""
        path = unquote(link)
        return (self.path.parent / path).resolve() if path else self.path


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as `textok export web` writes it, with a runtime of words and no model."""
    place = tmp_path_factory.mktemp("page") / "any-name"
    shutil.copytree(ROOT / "textok" / "export" / "page", place)
    copy_runtime(folder(place.parent, FILES), place / "ort", wasm_only=False)
    (place / ".textok.json").write_text("{}")
    return place


@pytest.fixture(scope="module")
def site(draw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("material", "mkdocstrings"):
        pytest.importorskip(package)
    out = tmp_path_factory.mktemp("site").resolve()
    nowhere = "http://127.0.0.1:9"
    away = {"NO_MKDOCS_2_WARNING": "1", "http_proxy": nowhere, "https_proxy": nowhere}
    away["TEXTOK_PAGE"] = str(draw)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    built = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **away}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def built(page: Path, site: Path) -> Path:
    """Where a page of docs/ lies in the site."""
    name = "index" if page.stem == "README" else page.stem
    return site / page.relative_to(DOCS).with_name(f"{name}.html")


def test_every_page_is_in_the_navigation(site: Path, pages: dict[Path, Page]) -> None:
    home = pages[site / "index.html"]
    shown = {home.target(urldefrag(link).url) for link in home.navigation}
    assert {built(page, site) for page in DOCS.rglob("*.md")} - shown == set()
    assert {site / "log.html", site / "contributing.html", site / "reference/cli.html"} <= shown


def test_links_and_anchors_lead_somewhere(pages: dict[Path, Page]) -> None:
    lost = []
    for page in pages.values():
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(link).scheme:
                continue
            target = page.target(address)
            found = target.is_file() and (not anchor or anchor in pages[target].ids)
            if not found:
                lost.append(f"{page.path.name}: {link}")
    assert lost == []


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for load in page.loads:
            assert not urlsplit(load).netloc, f"{page.path}: {load}"
            assert load.startswith("data:") or page.target(load.partition("?")[0]).is_file(), load
        assert 'class="mermaid"' not in page.path.read_text(encoding="utf-8")
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text), style


@pytest.mark.parametrize("name", PACKAGES)
def test_the_reference_has_what_a_package_exports(
    name: str, site: Path, pages: dict[Path, Page]
) -> None:
    package = importlib.import_module(f"textok.{name}")
    ids = pages[site / "reference" / f"{name}.html"].ids
    for one in package.__all__:  # generator.sample is a function and the module of its name
        assert {f"textok.{name}.{one}", f"textok.{name}.{one}.{one}"} & ids, one


def public(module: ModuleType) -> list[str]:
    """Full names of the classes and functions that a module defines."""
    return [
        f"{module.__name__}.{name}"
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_the_reference_has_every_module_of_a_room(
    room: str, site: Path, pages: dict[Path, Page]
) -> None:
    files = (ROOT / "textok" / room).glob("[!_]*.py")
    names = [
        name
        for file in files
        for name in public(importlib.import_module(f"textok.{room}.{file.stem}"))
    ]
    ids = pages[site / "reference" / f"{room}.html"].ids
    assert len(names) > 5 and [name for name in names if name not in ids] == []


def test_the_reference_has_what_flows_between_the_stages(
    site: Path, pages: dict[Path, Page]
) -> None:
    names = public(importlib.import_module("textok.types"))
    assert "textok.types.Latents" in names
    assert set(names) - pages[site / "reference" / "types.html"].ids == set()


def test_the_command_line_page_has_every_command(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="textok-{name.replace(" ", "-")}"' in text
        assert f"usage: textok {name} " in text or f"usage: textok {name}\n" in text


def test_the_search_works_from_the_disk(site: Path) -> None:
    assert (site / "search" / "search_index.js").read_text("utf-8").startswith("var __index = {")
    assert "assets/iframe-worker.js" in (site / "index.html").read_text("utf-8")


def test_the_page_of_the_model_is_where_its_link_leads(
    draw: Path, site: Path, pages: dict[Path, Page]
) -> None:
    (link,) = [link for link in pages[site / "draw.html"].links if link.startswith("draw/")]
    there = pages[site / "draw.html"].target(link)
    assert there.read_bytes() == (draw / "index.html").read_bytes()
    found = {path.relative_to(there.parent) for path in there.parent.rglob("*") if path.is_file()}
    given = {path.relative_to(draw) for path in draw.rglob("*") if path.is_file()}
    assert found == given - {Path(".textok.json")} and Path("ort/ort.wasm.min.mjs") in found
    assert "draw.html" in pages[site / "index.html"].links


def test_without_the_page_of_the_model_the_site_says_so(
    hooks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hooks, "PAGE", tmp_path)  # an export that was broken off: no index.html
    about = SimpleNamespace(file=SimpleNamespace(src_uri="draw.md"))
    text = (DOCS / "draw.md").read_text(encoding="utf-8")
    shown = hooks.on_page_markdown(text, page=about, files=None)
    assert "built without the page" in shown and "draw/index.html" not in shown


@pytest.fixture
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs")
    where = importlib.util.spec_from_file_location("site_hooks", DOCS / "hooks.py")
    assert where is not None and where.loader is not None
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        ("data.md", "[text](text.md#encoders)", "[text](text.md#encoders)"),
        ("data.md", "[what was tried](../LOG.md)", "[what was tried](log.md)"),
        ("results/README.md", "[it](../../LOG.md#a)", "[it](../log.md#a)"),
        (
            "data.md",
            "[`tiny`](../textok/presets/tiny-64.yaml)",
            "tiny (`textok/presets/tiny-64.yaml`)",
        ),
        (
            "data.md",
            "[tiny-64.yaml](../textok/presets/tiny-64.yaml)",
            "`textok/presets/tiny-64.yaml`",
        ),
        ("log.md", "![](docs/results/a.png) [b](docs/data.md)", "![](results/a.png) [b](data.md)"),
        ("data.md", "`[a](../b)`\n```\n[a](../b)\n```\n", "`[a](../b)`\n```\n[a](../b)\n```\n"),
        ("data.md", "[there](https://a.b/c)", "[there](https://a.b/c)"),
    ],
)
def test_links_out_of_the_pages(hooks: ModuleType, page: str, written: str, shown: str) -> None:
    about = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(written, page=about, files=None) == shown


def test_a_link_to_no_file_is_a_warning(
    hooks: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    about = SimpleNamespace(file=SimpleNamespace(src_uri="data.md"))
    with caplog.at_level("WARNING"):
        hooks.on_page_markdown("[a](../nothing.py)", page=about, files=None)
    assert "'docs/data.md' links to '../nothing.py', which does not exist" in caplog.text


def test_a_folder_in_the_navigation_is_its_pages(hooks: ModuleType, tmp_path: Path) -> None:
    for page in ("a/z.md", "a/README.md", "a/two-words/x/y.md", "a/two-words/README.md", "b/c.png"):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).touch()
    config = SimpleNamespace(nav=["i.md", {"A": "a/"}, {"B": "b/"}], docs_dir=str(tmp_path))
    inside = ["a/two-words/README.md", {"x/y": "a/two-words/x/y.md"}]
    pages = ["a/README.md", "a/z.md", {"Two words": inside}]
    assert hooks.on_config(config).nav == ["i.md", {"A": pages}]
