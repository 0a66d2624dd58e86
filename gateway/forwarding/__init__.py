"""What may pass between a browser and an app, and in which form.

Pure functions on paths, cookies and header lists, as ASGI has them: names and values are bytes.
Nothing here reads or writes anything, so each rule can be tested by itself.
"""

from .cookies import HOST_PREFIX, MAX_SESSIONS, SESSION_COOKIE, Cookies, app_cookie, cookies_of
from .fields import (
    MAX_HEADER_BYTES,
    bearer_of,
    check_headers,
    forwarded_fields,
    header,
    is_foreign,
    same_origin,
    to_app,
    to_app_websocket,
    to_client,
)
from .frames import Frames, close_frame
from .framing import Framing, chunk, framing_of, is_repeatable, serialize_head
from .hosts import Hosts, Place, check_target
from .paths import (
    AppPath,
    check_path,
    is_project_path,
    local_path,
    may_hold_token,
    parse_app_path,
    split_query,
    target_of,
)
from .plain import plain_fields
from .request import Sent, fields_to_app, head_to_app, read_fields
from .sender import UNIX, Proxies, Said, Sender, said_of
from .types import BadRequest, Header, Headers

__all__ = [
    "HOST_PREFIX",
    "MAX_HEADER_BYTES",
    "MAX_SESSIONS",
    "SESSION_COOKIE",
    "UNIX",
    "AppPath",
    "BadRequest",
    "Cookies",
    "Frames",
    "Framing",
    "Header",
    "Headers",
    "Hosts",
    "Place",
    "Proxies",
    "Said",
    "Sender",
    "Sent",
    "app_cookie",
    "bearer_of",
    "check_headers",
    "check_path",
    "check_target",
    "chunk",
    "close_frame",
    "cookies_of",
    "fields_to_app",
    "forwarded_fields",
    "framing_of",
    "head_to_app",
    "header",
    "is_foreign",
    "is_project_path",
    "is_repeatable",
    "local_path",
    "may_hold_token",
    "parse_app_path",
    "plain_fields",
    "read_fields",
    "said_of",
    "same_origin",
    "serialize_head",
    "split_query",
    "target_of",
    "to_app",
    "to_app_websocket",
    "to_client",
]
