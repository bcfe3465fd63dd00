"""Pictures as markdown that is short enough for Dagster to show it in its place.

Its pages show markdown of fewer than 1,000 characters at once and more behind a click (Dagster 1.13, the entry of
metadata in its web application), so a picture of a plotting library, of 10,000 at least, would not be seen.
"""

import string
from collections.abc import Iterable
from urllib.parse import quote
from xml.sax.saxutils import escape

SHOWN_AT_ONCE = 999
"""Characters of markdown."""
WIDTH, HEIGHT = 400, 90
"""Pixels of a picture."""
TOP, BASE = 14, HEIGHT - 14
"""Between them things are drawn: the title is above, and what the ends are called is below."""
GOOD, BAD = "#148", "#c22"
_AS_THEY_ARE = "".join(set(string.printable) - set(string.whitespace) - set('%#<>"\\')) + " "


def picture(
    title: str, drawn: Iterable[str], first: str, last: str, *, right: int = WIDTH, attributes: str = ""
) -> str:
    """A picture as markdown. ``drawn`` are elements of SVG, which have ``attributes`` in common; ``first`` and ``last``
    are what their ends are called, on the left and at ``right``.

    Raises:
        ValueError: Dagster would not show it at once.
    """
    texts = (
        f"<text y='9'>{escape(title)}</text><text y='{HEIGHT - 3}'>{escape(first)}</text>"
        f"<text x='{right}' y='{HEIGHT - 3}' text-anchor='end'>{escape(last)}</text>"
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' fill='#777'{attributes}"
        f" style='font:10px sans-serif'>{''.join(drawn)}{texts}</svg>"
    )
    shown = f"![picture](<data:image/svg+xml,{quote(svg, safe=_AS_THEY_ARE)}>)"
    if len(shown) > SHOWN_AT_ONCE:
        raise ValueError(f"the picture {title!r} has {len(shown)} characters, and {SHOWN_AT_ONCE} are shown at once")
    return shown
