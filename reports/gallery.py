"""An index of the pages in a folder: `python -m reports.gallery FOLDER`."""

from __future__ import annotations

import re
import sys
from html import escape, unescape
from pathlib import Path

from reports.page import read_template, write_page
from workloads.errors import InputError

INDEX = "index.html"


def build_index(folder: Path) -> str:
    """Build a page that links to the other pages of a folder by their titles.

    Raises:
        InputError: there is none.
    """
    pages = sorted(path for path in folder.glob("*.html") if path.name != INDEX)
    if not pages:
        raise InputError(f"{folder}: holds no pages; 'sparsetrain report' makes them")
    items = "".join(
        f'<li><a href="{escape(path.name)}">{escape(read_title(path))}</a> '
        f'<span class="soft">({path.stat().st_size / 1e6:.1f} MB)</span></li>'
        for path in pages
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Example reports</title><style>{read_template('page.css')}</style></head><body><header>"
        f"<h1>Example reports</h1><p>Each page is one file that needs no network.</p></header>"
        f'<main><div class="panel"><ul>{items}</ul></div></main></body></html>\n'
    )


def read_title(path: Path) -> str:
    """Give a page's title, or its name where it has none."""
    with path.open(encoding="utf-8") as file:
        found = re.search("<title>(.*?)</title>", file.read(4096))
    return unescape(found.group(1)) if found else path.stem


if __name__ == "__main__":
    target = Path(sys.argv[1])
    try:
        write_page(target / INDEX, build_index(target))
    except InputError as error:
        sys.exit(f"reports.gallery: {error}")
