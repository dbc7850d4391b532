"""The page: one file that fetches nothing, in which every name is only text, seen in a real browser."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
import torch

from kullback import Gaussian, compare

EVIL = ("<script>document.title='owned'</script>x_{", '"><img src=x onerror=alert(1)> & \x1b[31m 日本語')
CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)


def browser_available():
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail("continuous integration looks at the report in Chromium, and there is none")
    return CHROMIUM is not None


@pytest.fixture(scope="module")
def comparison():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 200, 6, generator=generator)
    a = Gaussian.from_logvar(mean, 0.3 * logvar)
    return compare(a, Gaussian.from_logvar(mean + 0.5, 0.1 * logvar), names=("plain", "beta"))


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


def test_the_page_is_one_file_that_fetches_nothing(comparison, tmp_path):
    text = written(comparison, tmp_path / "report.html")
    page = Page(text)
    assert page.tags.count("svg") == 6
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value.startswith("#"), (name, value)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids))
    assert {value for value in re.findall(r'(?:href="|url\()#([^")]+)', text)} <= set(page.ids)


def test_it_says_the_findings_and_the_numbers(comparison, tmp_path):
    text = " ".join(Page(written(comparison, tmp_path / "report.html")).text)
    for finding in comparison.findings():
        assert finding in text


def test_every_name_is_only_text(comparison, tmp_path):
    evil = compare(Gaussian.from_std(torch.zeros(3, 2), 1.0), Gaussian.from_std(torch.rand(3, 2), 1.0), names=EVIL)
    page = Page(written(evil, tmp_path / "report.html"))
    assert not {"script", "img"} & set(page.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "\x1b" not in (tmp_path / "report.html").read_text()
    assert "<script" not in evil._repr_html_()


def test_the_report_is_the_same_every_time(comparison, tmp_path):
    assert written(comparison, tmp_path / "one.html") == written(comparison, tmp_path / "two.html")


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
            assert len(compare(p, q)._repr_html_()) > 500
            assert len(compare(p, q).figures()) == (6 if len(p) > 1 else 4)


@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_lays_it_out_without_a_script_and_without_overflow(comparison, tmp_path, width):
    if not browser_available():
        pytest.skip("no Chromium on this machine")
    evil = compare(Gaussian.from_std(torch.zeros(3, 2), 1.0), Gaussian.from_std(torch.rand(3, 2), 1.0), names=EVIL)
    for name, shown in (("plain", comparison), ("evil", evil)):
        path = tmp_path / f"{name}.html"
        text = written(shown, path)
        # A frame of the width of the device (headless windows have a minimum), measured from outside.
        probe = tmp_path / "probe.html"
        probe.write_text(
            f"<iframe id=f style='width:{width}px;height:4000px;border:0' src='{path.name}'></iframe>"
            "<script>f.onload=()=>{const d=f.contentDocument;const s=[...d.querySelectorAll('svg')];"
            "document.title=JSON.stringify([d.title,d.documentElement.scrollWidth,s.map(x=>x.clientWidth)])}</script>"
        )
        dumped = subprocess.run(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
                probe.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        ).stdout  # fmt: skip
        import html
        import json

        title, scroll_width, drawings = json.loads(html.unescape(re.search("<title>(.*?)</title>", dumped)[1]))
        assert title.endswith("compared by kullback")
        assert scroll_width <= width
        assert len(drawings) == text.count("<svg")
        assert all(300 < drawing <= width for drawing in drawings)
