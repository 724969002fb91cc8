"""The HTML report: what it says, and how it is in a real browser."""
import html.parser
import os
import pathlib
import re
import xml.etree.ElementTree as ElementTree

import pytest

from browser import Browser
from conftest import which
from telling import World

BUILD = "https://circleci.com/gh/neco-test/apps/42"
VOID = {"meta", "link", "br", "img", "input", "hr"}

# Contrast of every text with what is behind it (WCAG 2): the worst, with its text.
CONTRAST = """(() => {
  const parse = c => (c.match(/[0-9.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length && c[3] !== 0) return c; } return [255, 255, 255]; };
  let worst = [99, ''];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode();) {
    if (!n.data.trim() || !n.parentElement.checkVisibility()) continue;
    const a = light(parse(getComputedStyle(n.parentElement).color));
    const b = light(ground(n.parentElement));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, n.data];
  }
  return worst; })()"""


class Page(html.parser.HTMLParser):
    """A page, checked as it is read: every element is closed where it should be."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.source = pathlib.Path(path).read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (self.open[-3:], tag, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data

    def all(self, tag, attribute=None):
        """Every element of this name, or the attribute of those that have it."""
        found = [a for t, a in self.elements if t == tag]
        return found if attribute is None else [a[attribute] for a in found if attribute in a]


def check(page):
    """What holds for every page."""
    assert {t for t, _ in page.elements} & {"script", "img", "iframe", "object", "form"} == set()
    assert page.all("link", "href") == ["data:,"]
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in page.all("a", "href"):
        assert link[1:] in ids if link.startswith("#") else link.startswith("https://"), link
    for _, attrs in page.elements:
        assert attrs.get("aria-labelledby", ids[0]) in ids
    levels = [int(t[1]) for t, _ in page.elements if t in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 2 for a, b in zip(levels, levels[1:]))
    for tag in ("header", "nav", "main", "footer"):
        assert len(page.all(tag)) == 1, tag
    assert len(page.all("details")) == len(page.all("summary"))
    assert page.all("html", "lang") == ["en"]
    assert "default-src 'none'" in str(page.all("meta", "content"))


@pytest.fixture
def world(start_emulator, folder):
    """A cluster and its apps."""
    return World(start_emulator, folder)


def test_a_good_deploy(world):
    """What is told of it."""
    done = world.deploy("--report", "report.html", env={"CIRCLE_BUILD_URL": BUILD})
    assert done.status == 0, done
    page = Page(world.apps.clone / "report.html")
    check(page)
    commit = world.apps.git("rev-parse", "HEAD")
    for words in ("Deploy to dev", "Live", "4 of 4 applications live after", commit,
                  "The first <i>commit</i>", "Ann bAuthor/b", "The root application", "Turn 1",
                  "Turn 2", "waited for namespaces until +", "waited for argocd-config until +",
                  "changes of state", "quay.io/argoproj/argocd:v2.14.21"):
        assert words in page.text, words
    for resource in ("web/web", "ops/sweeper", "ServiceAccount", "Namespace", "ConfigMap"):
        assert resource in page.text, resource
    assert BUILD in page.all("a", "href")
    assert "https://github.com/neco-test/apps" in page.all("a", "href")
    assert page.all("details", "open") == []


def test_a_failed_deploy(world):
    """Its reason, the line of the manifest, the excerpt."""
    commit = world.apps.break_ops()
    assert world.deploy("--report", "report.html").status == 1
    page = Page(world.apps.clone / "report.html")
    check(page)
    for words in ("Failed", "Break the sweeper <script>alert(1)</script>", "Failed to pull image",
                  "changed by this commit", "image: quay.io/example/sweeper:does-not-exist",
                  "failed after"):
        assert words in page.text, words
    assert (f"https://github.com/neco-test/apps/blob/{commit}/ops/deployment.yaml#L20"
            in page.all("a", "href"))
    assert len(page.all("details", "open")) == 1
    marked = re.findall(r'<mark><span class="number"> *(\d+)</span>', page.source)
    assert {"1", "20"} <= set(marked) and len(marked) == len(set(marked))  # each line once
    glance = page.text[page.text.index("At a glance"):page.text.index("Commit")]
    assert "ops/deployment.yaml:20 changed by this commit" in glance
    assert "Failed to pull image" in glance or "Back-off pulling image" in glance


def test_a_report_however_it_ends(world):
    """Of a check, a plan, and a run that was interrupted."""
    assert world.deploy("--report", "report.html", "--check").status == 0
    page = Page(world.apps.clone / "report.html")
    check(page)
    assert "Checked" in page.text
    assert world.deploy("--report", "report.html", "--dry-run").status == 0
    page = Page(world.apps.clone / "report.html")
    check(page)
    assert "Planned" in page.text
    world.apps.write("ops/deployment.yaml",
                     (world.apps.clone / "ops/deployment.yaml").read_text().replace(
                         "sweeper:1.4.2", "sweeper:does-not-exist"))
    world.apps.push("Never ready")
    run = world.emulator.start("necoops-deploy", "-c", world.conf, "--cluster", "dev", "--report",
                               "report.html", cwd=world.apps.clone)
    run.wait_for("reading the applications")
    run.signal(2)
    assert run.end().status == 130
    page = Page(world.apps.clone / "report.html")
    check(page)
    assert "Interrupted" in page.text


def test_a_report_that_cannot_be_written(world):
    """That is told before anything is touched; a folder that is missing is made."""
    (world.apps.clone / "file").write_text("")
    (world.apps.clone / "folder").mkdir()
    for option in ("--report", "--junit", "--events"):
        for path, words in (("file/x", "'file'"), ("folder", "'folder'"),
                            ("", "wants the name of a file")):
            done = world.deploy(option, path)
            assert done.status == 2 and words in done.err, done
            assert len(done.err.splitlines()) == 1 and done.out == "", done
    assert world.emulator.calls("GET") == [], "nothing was asked"
    assert world.deploy("--report", "new/report.html").status == 0
    assert (world.apps.clone / "new/report.html").exists()


def test_hostile_text_in_junit(world):
    """A reader of XML takes it, and sees text."""
    world.apps.break_ops(r'"crash-loop:]]><b>&\e[31m\u202e\uFFFE' + "x" * 5000 + '"')
    path = world.apps.clone / "ops/deployment.yaml"
    path.write_text(path.read_text().replace('quay.io/example/"', '"quay.io/example/'))
    world.apps.push("Hostile")
    done = world.deploy("--junit", "junit.xml")
    assert done.status == 1, done
    source = (world.apps.clone / "junit.xml").read_text(encoding="utf-8")
    case = ElementTree.fromstring(source).find(".//testcase[@name='ops']")
    assert case.get("file") == "ops/deployment.yaml", source
    failure = case.find("failure")
    assert r"crash-loop:]]><b>&\x1b[31m\u202e\ufffexxx" in failure.text, source
    assert not {"\x1b", "\u202e", "\ufffe"} & set(source + done.out + done.err)


# ---- in a browser ----

@pytest.fixture
def browser(tmp_path):
    """One, ended after the test."""
    one = Browser(tmp_path, which("chromium"))
    yield one
    one.close()


def keep(browser, tmp_path, name):
    """A picture, kept where NECOOPS_PICTURES says."""
    folder = pathlib.Path(os.environ.get("NECOOPS_PICTURES", tmp_path))
    browser.screenshot(folder / name)
    assert (folder / name).stat().st_size > 10000


def test_in_a_browser(world, browser, tmp_path):
    """Three widths by day and by night, keyboard, screen reader, paper; nothing is loaded."""
    world.apps.break_ops()
    assert world.deploy("--report", "report.html").status == 1
    path = world.apps.clone / "report.html"

    for width in (360, 768, 1400):
        for scheme in ("light", "dark"):
            browser.open(path, width, prefers_color_scheme=scheme)
            assert browser.js("document.documentElement.scrollWidth") <= width
            ratio, text = browser.js(CONTRAST)
            assert ratio >= 4.5, (width, scheme, text)
            # what must not be torn apart has room
            assert browser.js("[...document.querySelectorAll('.hash, td, dd')].every("
                              "e => e.scrollWidth <= e.clientWidth)")
            keep(browser, tmp_path, f"report-{width}-{scheme}.png")

    # a screen reader is given the landmarks, and a name for all that can be reached
    tree = browser.tree()
    roles = [role for role, _ in tree]
    for role in ("banner", "navigation", "main", "contentinfo", "heading", "list", "table"):
        assert role in roles, (role, sorted(set(roles)))
    regions = [name for role, name in tree if role == "region"]
    assert regions == ["At a glance", "Timeline", "Applications", "What happened"]
    for role, name in tree:
        if role in ("link", "DisclosureTriangle", "region", "navigation", "heading", "table"):
            assert name.strip(), role
    folds = [name for role, name in tree if role == "DisclosureTriangle"]
    assert any("failed" in name and "ops" in name for name in folds), folds
    assert browser.js("[...document.querySelectorAll('pre')].every("
                      "p => p.tabIndex === 0 && p.getAttribute('aria-label'))")

    # the keyboard: the first stop skips to the content, every fold opens and closes
    browser.press("Tab", 9)
    assert browser.js("document.activeElement.className") == "skip"
    count = browser.js("document.querySelectorAll('summary').length")
    assert count == 5
    for index in range(count):
        one = f"document.querySelectorAll('summary')[{index}]"
        before = browser.js(one + ".parentElement.open")
        for expected in (not before, before):
            browser.js(one + ".focus()")
            browser.press("Enter", 13, "\r")
            assert browser.js(one + ".parentElement.open") is expected, index

    # every link within the page leads to what is then in sight
    links = browser.js("[...document.querySelectorAll('a[href^=\"#\"]')].map("
                       "a => a.getAttribute('href'))")
    assert {"#main", "#glance", "#timeline", "#items", "#events"} <= set(links)
    for link in links:
        browser.js(f"document.querySelector('a[href=\"{link}\"]').click()")
        assert browser.js("location.hash") == link
        top = browser.js(f"document.querySelector('{link}').getBoundingClientRect().top")
        assert top < 900, link

    # printed, folds are open: what stands in a closed one takes its room
    closed = len(browser.pdf())
    browser.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert abs(len(browser.pdf()) - closed) < closed * 0.1

    assert browser.console == []
    assert {url.split(":")[0] for url in browser.requests} <= {"file", "data"}
    assert len([url for url in browser.requests if url.startswith("file")]) == 6


def test_hostile_text_does_nothing_in_a_browser(world, browser, tmp_path):
    """Markup in a commit's subject, in an image's name and in an author stays text."""
    hostile = '"><img src=x onerror=document.title=1><svg/onload=alert(1)>\u202egnp.exe \x1b[31m'
    world.apps.break_ops("crash-loop:<img/src=x/onerror=alert(2)>")
    world.apps.push(hostile)
    done = world.deploy("--report", "report.html")
    assert done.status == 1, done
    assert "\x1b" not in done.out + done.err and "\u202e" not in done.out + done.err
    path = world.apps.clone / "report.html"
    check(Page(path))
    browser.open(path, 768)
    assert browser.js("document.title") == "Failed: Deploy to dev"
    assert browser.js("document.querySelectorAll('img, svg, script').length") == 0
    text = browser.js("document.body.innerText")
    assert '"><img src=x onerror=document.title=1><svg/onload=alert(1)>\\u202egnp.exe' in text
    assert "last lines of its log:" in text and "crash-loop:<img/src=x/onerror=alert(2)>" in text
    assert "\\x1b[31m" in text and "\x1b" not in text and "\u202e" not in text
    assert browser.console == []
