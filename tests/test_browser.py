"""Pages in a real browser: TensorBoard on a fresh run, the report and the comparison of runs, the documentation.

They need Chromium, at ``CI_BROWSER`` or ``/usr/bin/chromium``, and ``pip install -e '.[browser]'``. Screenshots
are written to ``MS_GAN_SCREENSHOTS``, by default ``screenshots/`` in the checkout, which git ignores. The
documentation is built, unless ``MS_GAN_SITE`` is the folder of a built site.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli.test_resume_command import TINY, ms_gan
from conftest import ROOT

BROWSER = os.environ.get("CI_BROWSER", "/usr/bin/chromium")
SCREENSHOTS = Path(os.environ.get("MS_GAN_SCREENSHOTS", ROOT / "screenshots"))
PATIENCE = 60_000
"""Milliseconds until something that does not appear is missing, on any machine."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(BROWSER), reason=f"there is no browser {BROWSER}: set CI_BROWSER"),
]

FULL = TINY.replace("[Checkpoint()]", "[Checkpoint(), ImageGrid(rows=2), TensorBoard(Every.steps(1))]").replace(
    "import ArraySource,", "import ArraySource, ImageGrid, TensorBoard,"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install -e '.[browser]'")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=shutil.which(BROWSER), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens an address; in the end no page has shown an error or loaded from elsewhere."""
    pages: list[Any] = []
    faults: list[str] = []

    def check_request(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:", "http://127.0.0.1:")):
            faults.append(f"loads {request.url}")

    def check_response(response: Any) -> None:
        # The theme's switch of languages looks for the site map of each.
        if response.status >= 400 and not response.url.endswith("/sitemap.xml"):
            faults.append(f"{response.status}: {response.url}")

    def check_message(message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            faults.append(message.text)

    def open_address(address: str, width: int = 1400, height: int = 900, **options: Any) -> Any:
        page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", check_message)
        page.on("request", check_request)
        page.on("response", check_response)
        page.goto(address)
        pages.append(page)
        return page

    yield open_address
    for page in pages:
        page.context.close()
    assert faults == []


def take_screenshot(page: Any, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh run of four epochs."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "tiny.py").write_text(FULL)
    result = ms_gan("run", str(folder / "tiny.py"), "--set", "epochs=4", "--out", str(folder / "run"), "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def report(run_dir: Path) -> str:
    path = run_dir.parent / "report.html"
    result = ms_gan("report", str(run_dir), "--no-evaluation", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    return path.as_uri()


@pytest.fixture(scope="module")
def tensorboard(run_dir: Path) -> Iterator[str]:
    """Serve the run by TensorBoard; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run_dir), "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}/"

    def has_read() -> bool:
        try:
            with urllib.request.urlopen(f"{address}data/plugin/images/tags", timeout=5) as answer:
                return b"samples/grid" in answer.read()
        except OSError:
            return False

    try:
        wait_until(has_read)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the documentation; yield its address."""
    folder = os.environ.get("MS_GAN_SITE")
    if folder is None:
        pytest.importorskip("mkdocs", reason="needs MS_GAN_SITE, or pip install -e '.[docs]'")
        folder = str(tmp_path_factory.mktemp("site"))
        build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder]
        subprocess.run(build, cwd=ROOT, check=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def count_curves(card: Any) -> int:
    """Return the number of curves that a chart of TensorBoard shows: each is drawn twice, once smoothed."""
    paths = [path.get_attribute("d") or "" for path in card.locator("path.line").all()]
    return sum(path.count("L") > 3 for path in paths) // 2


def test_tensorboard_shows_the_curves_of_a_fresh_run(open_page: Callable[..., Any], tensorboard: str) -> None:
    page = open_page(f"{tensorboard}#scalars")
    for name in ("gan/d_loss", "gan/g_loss", "gan/d_real", "gan/d_fake"):
        card = page.locator("tf-scalar-card").filter(has_text=name)
        card.scroll_into_view_if_needed()
        wait_until(lambda card=card: count_curves(card) == 1)
    take_screenshot(page, "tensorboard-scalars")


def test_tensorboard_joins_both_players_in_a_chart(open_page: Callable[..., Any], tensorboard: str) -> None:
    page = open_page(f"{tensorboard}#custom_scalars")
    page.get_by_text("Generator against discriminator").wait_for()
    for title, curves in (("losses", 2), ("D(x) and D(G(z)), both 0.5", 2), ("V(D, G)", 1)):
        card = page.locator("tf-custom-scalar-multi-line-chart-card").filter(has_text=title)
        wait_until(lambda card=card, curves=curves: card.count() == 1 and count_curves(card) == curves)
    take_screenshot(page, "tensorboard-players")


def test_tensorboard_shows_the_grids(open_page: Callable[..., Any], tensorboard: str) -> None:
    page = open_page(f"{tensorboard}#images")
    image = page.locator("tf-image-loader img")
    image.wait_for()
    wait_until(lambda: image.evaluate("image => image.naturalWidth") == 5 * 86 + 2)
    assert image.evaluate("image => image.naturalHeight") == 2 * 86 + 2
    take_screenshot(page, "tensorboard-images")


def read_picture(page: Any) -> str:
    """Return the picture that the report shows; it shows one at a time."""
    [picture] = [one for one in page.locator(".pictures img").all() if one.is_visible()]
    assert picture.evaluate("image => image.naturalWidth") == 5 * 86 + 2
    return str(picture.get_attribute("src"))


def test_the_slider_of_the_report_changes_the_picture(open_page: Callable[..., Any], report: str) -> None:
    page = open_page(report)
    slider, title = page.get_by_role("slider"), page.locator(".slider output")
    assert (slider.input_value(), title.inner_text()) == ("3", "epoch 4")
    last = read_picture(page)
    slider.press("ArrowLeft")
    assert (slider.input_value(), title.inner_text()) == ("2", "epoch 3")
    third = read_picture(page)
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    assert (slider.input_value(), title.inner_text()) == ("0", "epoch 1")
    assert len({last, third, read_picture(page)}) == 3
    page.get_by_role("button", name="Play").click()
    wait_until(lambda: title.inner_text() == "epoch 3")
    page.get_by_role("button", name="Pause").click()
    take_screenshot(page, "report")


def test_curves_of_the_report_show_the_values_under_the_pointer(
    open_page: Callable[..., Any], report: str
) -> None:
    page = open_page(report)
    chart = page.locator("figure.chart").filter(has_text="losses")
    box = chart.locator("svg").bounding_box()
    values = chart.locator(".values")
    assert values.inner_text() == ""
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + box["height"] / 2)
    assert values.inner_text().startswith("step 20: D's loss ")
    page.mouse.move(box["x"] + 30, box["y"] + box["height"] / 2)
    assert values.inner_text().startswith("step 5: D's loss ")
    assert [dot.is_visible() for dot in chart.locator("circle").all()] == [True, True]


def test_the_report_is_readable_in_the_dark_on_a_phone_and_without_scripts(
    open_page: Callable[..., Any], report: str
) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        page = open_page(report, width=390, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).background]"
        )
        assert page.locator(".plot svg text").first.evaluate("text => getComputedStyle(text).fill") == ink
        colours |= {ink, paper}
        take_screenshot(page, f"report-phone-{scheme}")
    assert len(colours) == 4
    page = open_page(report, java_script_enabled=False)
    assert [one.is_visible() for one in page.locator(".pictures figure").all()] == [True] * 4
    assert page.locator(".plot svg").first.is_visible()
    take_screenshot(page, "report-without-scripts")


@pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")
def test_a_comparison_shows_the_curves_and_images_of_both(open_page: Callable[..., Any], run_dir: Path) -> None:
    other = run_dir.parent / "other"
    shutil.copytree(run_dir, other)
    path = run_dir.parent / "compare.html"
    result = ms_gan("compare", str(run_dir), str(other), "--no-evaluation", "-o", str(path))
    assert result.exit_code == 0, result.stderr
    page = open_page(path.as_uri())
    chart = page.locator("figure.chart").first
    chart.locator("svg").hover()
    assert chart.locator(".values").inner_text().count("run ") == 1
    assert chart.locator(".values").inner_text().count("other ") == 1
    assert page.locator(".sides img").count() == 2
    take_screenshot(page, "compare")


def test_the_search_of_the_documentation_answers(open_page: Callable[..., Any], site: str) -> None:
    page = open_page(site)
    page.get_by_role("heading", name="Install and train").wait_for()
    field = page.get_by_role("textbox", name="Search")
    field.click()
    field.fill("spectral norm")
    results = page.locator(".md-search-result__item")
    results.first.wait_for()
    assert "spectral" in results.first.inner_text().lower()
    take_screenshot(page, "documentation-search")
    results.first.locator("a").first.click()
    page.wait_for_url("**/*.html*")
    assert "spectral" in page.locator("article").inner_text().lower()
