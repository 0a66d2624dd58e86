"""The moments in which the database does not answer: 503 instead of a traceback, one line in the log.

The connection is tried anew by whoever comes next, so nothing has to be restarted afterwards.
"""

import logging
import sys

from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.defaults import server_error

from accounts.transactions import AWAY

#: Seconds, told to those who ask again by themselves.
RETRY_AFTER = "5"


def broken(request: HttpRequest) -> HttpResponse:
    """Answer where something broke (``handler500``)."""
    if not isinstance(sys.exc_info()[1], AWAY):
        return server_error(request)
    from datacenters import gateways  # the settings of logging name this file, before any model

    gateways.ask_later()  # else the page's headers would wait for the database once more
    page = loader.get_template("503.html").render()
    return HttpResponse(page, status=503, headers={"Retry-After": RETRY_AFTER})


class InOneLine(logging.Filter):
    """A database that is away says all in its error; no code is to blame."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "psycopg.pool":  # which alone knows why there is no connection
            record.msg, record.args = " ".join(record.getMessage().split()), ()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AWAY):
            record.exc_info = None
            record.msg, record.args = f"{record.getMessage()}: {str(error).strip()}", ()
        return True
