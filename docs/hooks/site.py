"""What MkDocs is told beside mkdocs.yml: pages from outside docs/, and pictures that follow the theme.

Pages are written so that they can be read in the repository as they are: links go to files as they lie there, pictures
are files. Here both become what the site needs.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
DOCS = "docs"
OUTSIDE = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/results/*.md",
    "bench/results/*.svg",
    "deploy/README.md",
    "examples/observability/README.md",
    "examples/observability/alerts.yaml",
    "examples/observability/alerts_test.yaml",
    "examples/observability/dashboard.json",
    "examples/observability/prometheus.yml",
    "examples/orders/test_orders.py",
)
"""Files of the repository that are part of the site, at the same path there; `*` for any name."""

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_DRAWING = re.compile(r"^!\[(?P<text>[^\]]*)\]\((?P<path>img/[^)\s]+\.svg)\)$", re.MULTILINE)
_THROUGHPUT = re.compile(r"<!-- throughput: \S+ -->\n(.*?)<!-- /throughput -->\n", re.DOTALL)
_TITLED = re.compile(r"^( *)<!-- (?:file|other|title): (.+?) -->\n *```(\w+)$", re.MULTILINE)
_FETCHES = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\s(?:src|href)=\"?https?://[^>]*>")
_ITS_PLACE = "<!-- the README's throughput -->\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the files from outside."""
    for path in sorted(found for pattern in OUTSIDE for found in ROOT.glob(pattern)):
        where = str(path.relative_to(ROOT))
        files.append(File(where, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turn links, drawings and names of code blocks into those of the site; show the README's figures where wanted."""
    markdown = _TITLED.sub(r'\1```\3 title="\2"', markdown)
    if _ITS_PLACE in markdown:
        markdown = markdown.replace(_ITS_PLACE, _throughput())
    in_docs = Path(page.file.src_dir) != ROOT
    folder = posixpath.dirname(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        """From where a file lies in the repository to where it is on the site, which leaves out docs/."""
        there = posixpath.normpath(posixpath.join(DOCS if in_docs else "", folder, found["path"]))
        on_site = there.removeprefix(f"{DOCS}/")
        if files.get_file_from_path(on_site) is None and (ROOT / there).exists():
            return found["text"]  # a folder, or a file that is no part of the site
        return f"[{found['text']}]({posixpath.relpath(on_site, folder or '.')}{found['anchor'] or ''})"

    return _DRAWING.sub(lambda found: _inlined(found, folder), _LINK.sub(link, markdown))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would fetch something from elsewhere when it is read."""
    found = _FETCHES.search(output)
    if found is not None:
        raise PluginError(f"{page.file.src_uri} fetches {found[0]}: a page has to work without a network")
    return output


def _throughput() -> str:
    """Return the README's newest figures, for a page in docs/."""
    found = _THROUGHPUT.search((ROOT / "README.md").read_text())
    assert found, "README.md shows no throughput"
    return found[1].replace("](", "](../")


def _inlined(found: re.Match[str], folder: str) -> str:
    """Put a drawing into the page, where it takes the colours of the theme, dark or light."""
    svg = (ROOT / DOCS / folder / found["path"]).read_text().strip()
    drawing = svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{found["text"]}" ', 1)
    return f'<figure class="drawing">\n{drawing}\n</figure>'
