"""The documentation's site: it builds without a warning, needs no network, and shows what it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import click
import pytest
from conftest import ROOT

import ms_gan_callbacks
from ms_gan_callbacks.cli import main

pytest.importorskip("mkdocs", reason="needs pip install -e '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build the site strictly: any warning fails it."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where the API reference looks for the package
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
        config.plugins.on_shutdown()
    yield folder


class Links(HTMLParser):
    """What a page loads, and where it leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.leads: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag in ("script", "img", "iframe"):
            self.loaded.add(values.get("src", ""))
        elif tag == "link" and values.get("rel") not in ("canonical", "alternate", "prev", "next"):
            self.loaded.add(values.get("href", ""))
        elif tag == "a":
            self.leads.add(values.get("href", ""))


def test_a_page_loads_nothing_from_anywhere_else(site: Path) -> None:
    for page in site.rglob("*.html"):
        far = {url for url in Links(page).loaded if re.match(r"(\w+:)?//", url)}
        assert not far, f"{page.relative_to(site)} loads {far}"


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {page.resolve(): Links(page) for page in site.rglob("*.html") if page.name != "404.html"}
    for page, links in pages.items():
        for link in links.leads:
            path, anchor = urldefrag(link)
            if re.match(r"\w+:", link):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if target.is_dir():
                target /= "index.html"
            assert target.exists(), f"{page.name} leads to {link}"
            if anchor and target in pages and not anchor.startswith("__"):
                assert unquote(anchor) in pages[target].anchors, f"{page.name} leads to {link}"


def test_the_reference_has_every_public_name_with_its_docstring(site: Path) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in site.glob("api/*.html"))
    for name in ms_gan_callbacks.__all__:
        home = getattr(ms_gan_callbacks, name)
        assert f'id="{home.__module__}.{name}"' in text or f'id="ms_gan_callbacks.{name}"' in text, name
    assert "Trains a generator against a discriminator; one runner" in text
    assert not re.search(r":(class|meth|func|data):", text), "a role that nobody reads"


def test_the_page_of_the_command_line_has_every_command_and_option(site: Path) -> None:
    text = (site / "cli.html").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f'id="ms-gan-{name}"' in text
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        assert options or name == "plugins"
        for option in options:
            assert all(spelling in text for spelling in option.opts), option


def test_a_link_that_leaves_the_documentation_shows_the_file(site: Path) -> None:
    recipes = (site / "recipes.html").read_text(encoding="utf-8")
    assert 'href="source/recipes/mnist_mlp.py.html"' in recipes
    shown = (site / "source/recipes/mnist_mlp.py.html").read_text(encoding="utf-8")
    assert "NonSaturating" in shown


def test_pages_of_the_root_are_there_and_lead_into_the_site(site: Path) -> None:
    assert "Keep a Changelog" in (site / "changelog.html").read_text(encoding="utf-8")
    assert "Where a new thing goes" in (site / "contributing.html").read_text(encoding="utf-8")
