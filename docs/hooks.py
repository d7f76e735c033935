"""What the site takes from outside docs/: README.md as its first page, and every file that a page links to.

On the code host a page of docs/ links to ../results/growth.png, and README.md to docs/design.md. The site
has pages and files in one tree, so that links lose the '../' and the 'docs/'. A table that is made from a
file of results names it in a comment; the site shows the name as a link.
"""

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
PAGES = ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')
TABLE = re.compile(
    r'^<!-- (results/\S+\.json) -->$', re.MULTILINE
)  # above a table made from that file
LINK = re.compile(r'(?<=\]\()([^)#:\s]+)')  # the target of [text](target), without its anchor


def on_files(files, config):
    """Adds the root's pages, and the files outside docs/ that pages link to."""
    pages = [ROOT / name for name in PAGES] + sorted((ROOT / 'docs').glob('*.md'))
    targets = {
        (page.parent / target).resolve()
        for page in pages
        for target in LINK.findall(page.read_text())
    }
    targets |= {ROOT / name for page in pages for name in TABLE.findall(page.read_text())}
    names = {target.relative_to(ROOT).as_posix() for target in targets if target.is_file()}
    for name in sorted({*PAGES, *names}):
        if not name.startswith('docs/'):
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown, page, config, files):
    """The page with links as they are in the site's one tree."""
    markdown = TABLE.sub(r'*[\1](\1)*\n', markdown)
    return LINK.sub(lambda link: _in_site(link[1]), markdown)


def _in_site(target: str) -> str:
    return target.removeprefix('../').removeprefix('docs/')
