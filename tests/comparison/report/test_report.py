"""The page: one file that fetches nothing, in which every name is only text, seen in a real browser."""

import base64
import hashlib
import html
import itertools
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch

from kullback import Gaussian, compare, compare_all

EVIL = ("<script>document.title='owned'</script>x_{", '"><img src=x onerror=alert(1)> & \x1b[31m 日本語')
CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
FIGURES = ("decomposition", "matching", "left", "dimensions", "widths", "distribution", "directions", "ellipses")


def browser_available():
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail("continuous integration looks at the report in Chromium, and there is none")
    return CHROMIUM is not None


def models():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 200, 6, generator=generator)
    plain = Gaussian.from_logvar(mean, 0.3 * logvar)
    images = torch.rand(200, 8, 8, generator=generator)
    return plain, Gaussian.from_logvar(mean + 0.5, 0.1 * logvar), Gaussian.from_logvar(mean.flip(1), logvar), images


@pytest.fixture(scope="module")
def comparison():
    a, b, _, images = models()
    return compare(a, b, names=("plain", "beta"), images=images)


@pytest.fixture(scope="module")
def comparisons():
    *gaussians, images = models()
    return compare_all(gaussians, names=("plain", "beta", "flipped"), images=images)


@pytest.fixture(params=["of two", "of several"])
def shown(request):
    return request.getfixturevalue("comparison" if request.param == "of two" else "comparisons")


def evil_of(shown):
    p, q = Gaussian.from_std(torch.zeros(3, 2), 1.0), Gaussian.from_std(torch.rand(3, 2), 1.0)
    if shown.__class__.__name__ == "Comparison":
        return compare(p, q, names=EVIL)
    return compare_all([p, q, p], names=(*EVIL, "y"))


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.attributes, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text.append(data)


def written(comparison, path):
    comparison.report(path)
    return path.read_text(encoding="utf-8")


def test_the_page_is_one_file_that_fetches_nothing_and_runs_its_own_script_alone(shown, tmp_path):
    text = written(shown, tmp_path / "report.html")
    page = Page(text)
    pictures = FIGURES if shown.__class__.__name__ == "Comparison" else (*range(3 * 3), "dendrogram", "embedding")
    assert page.tags.count("svg") == len(pictures)
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("#", "data:image/png;base64,")), (name, value)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids))
    assert {value for value in re.findall(r'(?:href="|url\()#([^")]+)', text)} <= set(page.ids)
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in text
    assert "fetch" not in script
    assert "innerHTML" not in script


def test_it_says_the_findings_and_how_it_was_made(shown, tmp_path):
    shown.report(tmp_path / "report.html", command="kullback compare 'a & b.npz' <c>")
    text = " ".join(Page((tmp_path / "report.html").read_text(encoding="utf-8")).text)
    for finding in shown.findings():
        assert finding in text
    assert "kullback compare 'a & b.npz' <c>" in text
    assert f"torch {torch.__version__}" in text
    shown.report(tmp_path / "without.html")
    assert "Command:" not in (tmp_path / "without.html").read_text(encoding="utf-8")


def test_every_pair_is_reached_from_the_matrices(comparisons, tmp_path):
    text = written(comparisons, tmp_path / "report.html")
    for anchor in ("pair-1-2", "pair-1-3", "pair-2-3"):
        # Twice in each of three matrices, and in the list of pairs.
        assert text.count(f'href="#{anchor}"') == 7
        assert text.count(f'<section id="{anchor}">') == 1
    for comparison in comparisons.pairs.values():
        assert html.escape(comparison.findings()[0], quote=False) in text


def test_every_picture_and_table_says_what_it_is(shown, tmp_path):
    text = written(shown, tmp_path / "report.html")
    for drawing in re.findall(r"<svg[^>]*>", text):
        assert 'role="img"' in drawing
        assert len(re.search('aria-label="([^"]*)"', drawing)[1]) > 40
    for image in re.findall(r"<img[^>]*>", text):
        assert re.search('alt="input [0-9]+"', image)
    assert all('scope="' in head for head in re.findall(r"<th[ >][^>]*", text))
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_name_is_only_text(shown, tmp_path):
    evil = evil_of(shown)
    text = written(evil, tmp_path / "report.html")
    page = Page(text)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "\x1b" not in text
    assert "<script" not in evil._repr_html_()
    assert len(evil._repr_html_()) < 20_000


def test_the_report_is_the_same_every_time(shown, tmp_path):
    assert written(shown, tmp_path / "one.html") == written(shown, tmp_path / "two.html")


def test_long_names_leave_the_legend_whole():
    p, q = (Gaussian.from_std(torch.full((9, 3), x), 1.0) for x in (0.0, 1.0))
    figures = compare(p, q, names=("standard_vae_run_number_1", "beta_vae_run_number_two")).figures()
    for figure in figures.values():
        figure.draw_without_rendering()
        for axes in figure.axes:
            if legend := axes.get_legend():
                assert legend.get_window_extent().x1 <= figure.bbox.x1
            assert axes.get_window_extent().width > 0.3 * figure.bbox.width


@pytest.mark.parametrize("spread", [0.5, 1.5, 6.0])
def test_numbers_on_axes_are_plain(spread, tmp_path):
    shift = torch.logspace(0, spread, 300)[:, None].expand(300, 2)
    p = Gaussian.from_std(torch.zeros(300, 2), 1.0)
    text = written(compare(p, Gaussian.from_std(shift, 1.5)), tmp_path / "report.html")
    assert "$" not in text
    assert "mathdefault" not in text


def test_many_dimensions_one_dimension_and_one_row_can_be_drawn():
    for shape in ((5, 300), (5, 1), (1, 3)):
        p = Gaussian.from_std(torch.zeros(shape), 1.0)
        for q in (p, Gaussian.from_std(torch.ones(shape), 2.0)):
            comparison = compare(p, q, aggregate=False)
            assert len(comparison._repr_html_()) > 500
            assert len(comparison.figures()) == (8 if len(p) > 1 else 5)


def looked_at(path, tmp_path, script, width=1100, *, dark=False):
    """What a script in a page around a frame of this width gives, as JSON, and what the console said of errors."""
    probe = tmp_path / "probe.html"
    # A frame has the width of a device; headless windows have a minimum.
    probe.write_text(
        f"<iframe id=f style='width:{width}px;height:4000px;border:0' src='{path.name}'></iframe>"
        f"<script>f.onload=()=>{{const d=f.contentDocument;document.title=JSON.stringify(({script})(d))}}</script>"
    )
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    found = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", *theme,
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom", probe.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = [line for line in found.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(re.search("<title>(.*?)</title>", found.stdout)[1])), said


@pytest.mark.parametrize("width", [390, 1100, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_lays_it_out_without_an_error_and_without_overflow(shown, tmp_path, width, dark):
    if not browser_available():
        pytest.skip("no Chromium on this machine")
    measure = """d => {
        const style = getComputedStyle(d.body);
        const small = [...d.querySelectorAll('body *:not(svg *)')].filter(x => x.textContent.trim())
            .map(x => parseFloat(getComputedStyle(x).fontSize));
        return [d.title, d.documentElement.scrollWidth, [...d.querySelectorAll('svg')].map(x => x.clientWidth),
                style.color, style.backgroundColor, Math.min(...small)];
    }"""
    for page in (shown, evil_of(shown)):
        path = tmp_path / "page.html"
        text = written(page, path)
        found, said = looked_at(path, tmp_path, measure, width, dark=dark)
        title, scroll_width, drawings, ink, paper, smallest = found
        assert said == []
        assert title.endswith("compared by kullback")
        assert scroll_width <= width
        assert len(drawings) == text.count("<svg")
        assert all(300 < drawing <= width for drawing in drawings)
        assert contrast(ink, paper) > 12
        assert (luminance(ink) > luminance(paper)) == dark
        assert smallest >= 14


def luminance(colour):
    channels = [int(x) / 255 for x in re.findall(r"\d+", colour)[:3]]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink, paper):
    """As the Web Content Accessibility Guidelines define it."""
    low, high = sorted((luminance(ink), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def test_tables_are_sorted_by_a_click_on_a_head(comparison, tmp_path):
    if not browser_available():
        pytest.skip("no Chromium on this machine")
    path = tmp_path / "page.html"
    written(comparison, path)
    click = """d => {
        const table = d.querySelector('#dimensions table.sortable'), button = table.querySelectorAll('th button')[1];
        const column = () => [...table.tBodies[0].rows].map(row => row.cells[1].textContent);
        const found = [column()];
        for (let i = 0; i < 2; i++) { button.click(); found.push(column()); }
        return [...found, button.closest('th').getAttribute('aria-sort')];
    }"""
    (before, down, up, state), said = looked_at(path, tmp_path, click)
    assert said == []
    want = comparison.per_dimension("ab")
    assert [float(x) for x in before] == pytest.approx(want.tolist(), rel=1e-3)
    assert [float(x) for x in down] == pytest.approx(want.sort(descending=True).values.tolist(), rel=1e-3)
    assert up == down[::-1]
    assert state == "ascending"
