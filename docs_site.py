"""Hooks of MkDocs: brings pages outside docs/ into the site, and leads links between them to the right place."""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent
_BESIDE = {
    "index.md": "README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
    "export/README.md": "export/README.md",
    "export/client/README.md": "export/client/README.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Adds the README as the first page, and those of export/."""
    for place, source in _BESIDE.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Rewrites links, which are right in the repository, to where their targets are in the site."""
    place = page.file.src_uri
    source = ROOT / _BESIDE.get(place, f"docs/{place}")
    return _LINK.sub(lambda link: _in_site(link, source.parent, place.count("/"), files), markdown)


def _in_site(link, folder, depth, files):
    """A link in Markdown as it is in the site; a file that the site does not have is named, without a link.

    Args:
        link: match of _LINK.
        folder: of the page in the repository, which the target is relative to.
        depth: how many folders deep the page is in the site.
        files: of the site.
    """
    image, text, target, heading = link.groups()
    file = (folder / target).resolve()
    path = file.relative_to(ROOT).as_posix()
    place = {source: site for site, source in _BESIDE.items()}.get(path) or path.removeprefix("docs/")
    if files.get_file_from_path(place) is None and file.exists():
        return text
    return f"{image}[{text}]({'../' * depth}{place}{heading or ''})"
