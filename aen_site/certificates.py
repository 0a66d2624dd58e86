"""For how long a site's certificates are good."""

import socket
import ssl
import time

#: OpenSSL's number for it.
_HAS_EXPIRED = 10


class Expired(Exception):
    """The certificate's time is over."""


def days_left(host: str, port: int, *, context: ssl.SSLContext | None = None) -> float | None:
    """Return for how many days the certificate that ``host`` shows is good.

    ``None`` where it is not reached, or not by an authority that this machine knows: whether others
    know it is theirs to say. Raises ``Expired``.
    """
    context = context or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=host) as shown,
        ):
            ends = str((shown.getpeercert() or {})["notAfter"])
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _HAS_EXPIRED:
            raise Expired from error
        return None
    except (OSError, KeyError):
        return None
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86400
