"""Our icons: strokes on a 16-pixel grid, drawn in the colour of the text around them."""

# ruff: noqa: E501  (a path of a drawing has no place to break it)

from typing import Final

#: What is drawn if a node offers an app whose icon we do not have.
FALLBACK: Final = "app"

SHAPES: Final[dict[str, str]] = {
    "activity": '<path d="M1.5 8.5H4l2-5.5 3.5 10 2-4.5h3"/>',
    "alert": '<path d="M8 2.2 14.3 13H1.7z"/><path d="M8 6.3v3.2M8 11.3v.1"/>',
    "app": '<rect x="2" y="2.5" width="12" height="11" rx="1.5"/><path d="M2 5.8h12"/>',
    "bars": '<path d="M2 13.5h12M4.2 11V8M8 11V3M11.8 11V6"/>',
    "book": '<path d="M8 3.6v9.9M8 3.6C6.7 2.8 4.7 2.5 2 2.6v9.7c2.7-.1 4.7.3 6 1.2 1.3-.9 3.3-1.3 6-1.2V2.6c-2.7-.1-4.7.2-6 1z"/>',
    "check": '<path d="m3 8.6 3.2 3.2L13 4.7"/>',
    "chevron-down": '<path d="m4 6 4 4 4-4"/>',
    "chevron-right": '<path d="m6 4 4 4-4 4"/>',
    "clock": '<circle cx="8" cy="8" r="6"/><path d="M8 4.7V8l2.2 1.5"/>',
    "compass": '<circle cx="8" cy="8" r="6"/><path d="m10.5 5.5-1.5 3.5-3.5 1.5 1.5-3.5z"/>',
    "copy": '<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 3.5v-.2c0-.7-.5-1.3-1.2-1.3H3.8C3 2 2.5 2.6 2.5 3.3v5.4c0 .7.5 1.3 1.3 1.3"/>',
    "cross": '<path d="m4 4 8 8M12 4l-8 8"/>',
    "eye": '<path d="M1.5 8S4 3.7 8 3.7 14.5 8 14.5 8 12 12.3 8 12.3 1.5 8 1.5 8z"/><circle cx="8" cy="8" r="1.9"/>',
    "file": '<path d="M9.3 1.8H4.5c-.6 0-1 .4-1 1v10.4c0 .6.4 1 1 1h7c.6 0 1-.4 1-1V5z"/><path d="M9.3 1.8V5h3.2"/>',
    "folder": '<path d="M1.8 4c0-.6.4-1 1-1h3.4l1.5 1.8h5.5c.6 0 1 .4 1 1v6.4c0 .6-.4 1-1 1H2.8c-.6 0-1-.4-1-1z"/>',
    "gateway": '<path d="M2 5.5h12M11 2.5l3 3-3 3M14 10.5H2M5 7.5l-3 3 3 3"/>',
    "globe": '<circle cx="8" cy="8" r="6"/><path d="M2 8h12M8 2c1.8 1.6 2.6 3.6 2.6 6S9.8 12.4 8 14c-1.8-1.6-2.6-3.6-2.6-6S6.2 3.6 8 2z"/>',
    "home": '<path d="M2.5 7 8 2.3 13.5 7v6.5h-4V9.8h-3v3.7h-4z"/>',
    "info": '<circle cx="8" cy="8" r="6"/><path d="M8 7.5v3.3M8 5.2v.1"/>',
    "key": '<circle cx="5" cy="11" r="2.7"/><path d="m7 9 6-6.3M10.3 5.6l2 2"/>',
    "keyboard": '<rect x="1.5" y="4" width="13" height="8.5" rx="1.5"/><path d="M4.2 6.7h.1M6.7 6.7h.1M9.2 6.7h.1M11.7 6.7h.1M5 9.7h6"/>',
    "lab": '<path d="M6 2v4.3l-3.3 6c-.4.7.1 1.5.9 1.5h8.8c.8 0 1.3-.8.9-1.5L10 6.3V2M4.8 2h6.4M4.5 10h7"/>',
    "layers": '<path d="m8 2 6 3-6 3-6-3zM2.3 8 8 10.9 13.7 8M2.3 11 8 13.9 13.7 11"/>',
    "list": '<path d="M5.5 4H14M5.5 8H14M5.5 12H14M2.3 4h.1M2.3 8h.1M2.3 12h.1"/>',
    "lock": '<rect x="3" y="7" width="10" height="6.7" rx="1.5"/><path d="M5.3 7V5a2.7 2.7 0 0 1 5.4 0v2"/>',
    "menu": '<path d="M2 4h12M2 8h12M2 12h12"/>',
    "moon": '<path d="M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7z"/>',
    "notebook": '<rect x="3.5" y="2" width="10" height="12" rx="1.3"/><path d="M6.3 2v12M1.8 5h2.5M1.8 8h2.5M1.8 11h2.5"/>',
    "out": '<path d="M6 2.5H3.5c-.6 0-1 .4-1 1v9c0 .6.4 1 1 1H6M10.5 11l3-3-3-3M13.5 8H6"/>',
    "pencil": '<path d="m10.8 2.7 2.5 2.5L5.5 13l-3.200.7.7-3.2z"/>',
    "people": '<circle cx="6" cy="5" r="2.5"/><path d="M1.5 13.5c.2-2.7 2-4.3 4.5-4.3s4.3 1.6 4.5 4.3M10.5 2.7a2.4 2.4 0 0 1 0 4.6M12 9.6c1.5.6 2.4 1.9 2.5 3.9"/>',
    "person": '<circle cx="8" cy="5" r="2.7"/><path d="M2.8 13.7c.3-2.8 2.3-4.4 5.2-4.4s4.9 1.6 5.2 4.4"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "play": '<path d="M4.5 2.8 13 8l-8.5 5.2z"/>',
    "reset": '<path d="M2.5 8a5.5 5.5 0 1 0 1.8-4.1L2.5 5.5M2.5 2.3v3.2h3.2"/>',
    "search": '<circle cx="7" cy="7" r="4.7"/><path d="m10.5 10.5 3.5 3.5"/>',
    "server": '<rect x="2" y="2.5" width="12" height="4.7" rx="1.2"/><rect x="2" y="8.8" width="12" height="4.7" rx="1.2"/><path d="M4.5 4.8h.1M4.5 11.1h.1M8 4.8h3.5M8 11.1h3.5"/>',
    "shield": '<path d="M8 1.8 13.3 3.7v4c0 3.2-2.1 5.4-5.3 6.5-3.2-1.1-5.3-3.3-5.3-6.5v-4z"/>',
    "sliders": '<path d="M2 5h6.5M12.5 5H14M2 11h1.5M7.5 11H14"/><circle cx="10.5" cy="5" r="1.8"/><circle cx="5.5" cy="11" r="1.8"/>',
    "stop": '<rect x="4.5" y="4.5" width="7" height="7" rx="1"/>',
    "sun": '<circle cx="8" cy="8" r="2.8"/><path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9"/>',
    "terminal": '<rect x="1.8" y="2.8" width="12.4" height="10.4" rx="1.5"/><path d="m4.5 6 2.2 2-2.2 2M8.3 10.3h3"/>',
    "trash": '<path d="M2.5 4.3h11M6 4.3V2.5h4v1.8M4 4.3l.6 9.2h6.8l.6-9.2M6.7 7v4M9.3 7v4"/>',
    "viewer": '<path d="M1.5 8S4 3.7 8 3.7 14.5 8 14.5 8 12 12.3 8 12.3 1.5 8 1.5 8z"/><circle cx="8" cy="8" r="1.9"/>',
    "workbench": '<rect x="2" y="2.5" width="12" height="11" rx="1.5"/><path d="M6.5 2.5v11M6.5 7.5H14"/>',
}

#: The mark: three nodes around a letter A.
MARK: Final = (
    '<svg class="aen-logo" viewBox="0 0 22 22" fill="none" stroke="currentColor" stroke-width="1.8" '
    'stroke-linecap="round" aria-hidden="true"><path d="M10.2 5 4.6 16.5M11.8 5l5.6 11.5M7.5 14h7"/>'
    '<g fill="currentColor" stroke="none"><circle cx="11" cy="3.7" r="2.7"/><circle cx="3.9" cy="18" r="2.7"/>'
    '<circle cx="18.1" cy="18" r="2.7"/></g></svg>'
)


def svg(name: str) -> str:
    """Return the icon as inline SVG; an unknown name gives the plain window of an app."""
    shape = SHAPES.get(name, SHAPES[FALLBACK])
    return (
        '<svg class="aen-icon" viewBox="0 0 16 16" fill="none" stroke="currentColor" '
        'stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        f"{shape}</svg>"
    )
