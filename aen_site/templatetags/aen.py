"""What the templates say with: icons, people, times, sizes and states."""

from datetime import datetime, timedelta
from zlib import crc32

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts import notes
from aen_site import icons
from projects.paths import shown
from projects.plain import plain as safe_to_see
from projects.rights import in_words

register = template.Library()

HUES = 6
MINUTE, HOUR, DAY = 60, 3600, 86_400
#: Meters turn amber and red from here, in percent.
NEARLY_FULL, FULL = 85, 95


@register.simple_tag
def icon(name: str) -> SafeString:
    return mark_safe(icons.svg(name))  # noqa: S308  (our own constant)


@register.simple_tag
def mark() -> SafeString:
    return mark_safe(icons.MARK)  # noqa: S308  (our own constant)


@register.simple_tag
def avatar(person: object) -> SafeString:
    """Return a person's initials on one of six colours, the same each time. Takes users and names."""
    name = str(getattr(person, "username", person))
    hue = crc32(f"l{name}".encode()) % HUES
    return format_html(
        '<span class="aen-avatar aen-avatar-{}" aria-hidden="true">{}</span>', hue, name[:2].upper()
    )


@register.simple_tag
def dot(state: str) -> SafeString:
    """Return the mark of a state; the word beside it is the caller's."""
    return format_html('<span class="aen-dot aen-dot-{}" aria-hidden="true"></span>', state)


@register.filter
def path(text: str) -> str:
    """Return a path with its odd characters as escapes."""
    return shown(text)


@register.simple_tag
def rights(letters: str, before: str = "") -> SafeString:
    """Return rights (``r-x``) as three boxes. What ``before`` had more is marked as taken away."""
    boxes = format_html_join("", '<i class="{}">{}</i>', _boxes(letters, before or letters))
    return format_html(
        '<span class="aen-rights" role="img" aria-label="{}">{}</span>', in_words(letters), boxes
    )


def _boxes(letters: str, before: str) -> list[tuple[str, str]]:
    found = []
    for now, once in zip(letters, before, strict=True):
        kind = "on" if now != "-" else "cut" if once != "-" else "off"
        found.append((f"aen-right-{kind}", once if once != "-" else "–"))
    return found


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    """Return ``light`` or ``dark`` if the person chose one, else nothing: the system decides."""
    request = context.get("request")
    chosen = request.COOKIES.get("aen_theme", "") if request else ""
    return chosen if chosen in ("light", "dark") else ""


@register.filter
def ago(at: datetime | None) -> str:
    """Return how long ago, up to 7 days, then the date."""
    if at is None:
        return "never"
    seconds = (timezone.now() - at).total_seconds()
    if seconds < MINUTE:
        return "now"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min ago"
    return _days_ago(at, seconds)


def _days_ago(at: datetime, seconds: float) -> str:
    days = (timezone.localdate() - timezone.localdate(at)).days
    if seconds < DAY and days < 2:
        return f"{int(seconds // HOUR)} h ago"
    if days <= 1:
        return "yesterday"
    if days <= 7:
        return f"{days} days ago"
    year = "" if at.year == timezone.now().year else f" {at.year}"
    return f"{at.day} {at:%b}{year}"


@register.filter
def since(at: datetime | None) -> str:
    """Return the time that passed: ``3 h 12 min``."""
    return "" if at is None else lasting(timezone.now() - at)


@register.filter
def lasting(span: timedelta | float | None) -> str:
    """Return a span of time in its two largest units."""
    if span is None:
        return ""
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < MINUTE:
        return f"{max(seconds, 0)} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE:02d} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"


@register.filter
def seconds(value: float | None) -> str:
    """Return seconds as a person reads them: ``0.02 s``, ``1.7 s``, ``12 s``."""
    if value is None:
        return ""
    if value < 1:
        return f"{value:.2f} s"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


@register.filter
def gigabytes(value: float | None) -> str:
    """Return bytes in GB with one digit below 10: ``0.3``, ``64``."""
    size = (value or 0) / 1024**3
    return f"{size:.1f}" if size < 10 else f"{size:.0f}"


@register.filter
def memory(value: float | None) -> str:
    """Return bytes with their unit: ``12 MB``, ``0.3 GB``, ``64 GB``."""
    size = value or 0
    if size < 1024**3 / 10:
        return f"{size / 1024**2:.0f} MB"
    return f"{gigabytes(size)} GB"


@register.simple_tag
def meter(used: float, total: float, label: str) -> SafeString:
    """Return a bar that says ``label``; amber from 85 %, red from 95 %."""
    percent = min(100, round(100 * used / total)) if total else 0
    kind = "fail" if percent >= FULL else "warn" if percent >= NEARLY_FULL else "fine"
    return format_html(
        '<svg class="aen-meter aen-meter-{}" role="img" aria-label="{}" preserveAspectRatio="none">'
        '<rect width="100%" height="5"/><rect width="{}%" height="5"/></svg>',
        kind,
        f"{label}: {percent} %",
        percent,
    )


@register.filter
def plain(text: str) -> str:
    """Return what a node or an app wrote without terminal escapes."""
    return safe_to_see(str(text or ""))


@register.filter
def percent(used: float, total: float) -> int:
    return round(100 * used / total) if total else 0


@register.filter
def plural(count: int, words: str) -> str:
    """Return the count with its noun: ``{{ 2|plural:"app,apps" }}`` gives ``2 apps``."""
    one, many = words.split(",")
    return f"{count:,} {one if count == 1 else many}"


@register.simple_tag(takes_context=True)
def running_count(context: template.Context) -> int:
    """Return how many apps the signed-in person has running or starting."""
    from projects import lifecycle
    from projects.models import AppInstance

    user = context["request"].user
    return AppInstance.objects.filter(user=user, state__in=list(lifecycle.ACTIVE)).count()


@register.simple_tag(takes_context=True)
def toasts(context: template.Context) -> list[notes.Note]:
    """Return what went well, for the corner of the page."""
    return [note for note in _notes(context) if not note.failed]


@register.simple_tag(takes_context=True)
def refusals(context: template.Context) -> list[notes.Note]:
    """Return what was refused, for the place where the person looks."""
    return [note for note in _notes(context) if note.failed]


def _notes(context: template.Context) -> list[notes.Note]:
    request = context.get("request")
    return notes.of_request(request) if request is not None else []
