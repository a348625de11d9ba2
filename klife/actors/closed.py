"""`client_closed`: what everybody is told who wants something of a client that has ended, or is ending."""

from __future__ import annotations

from klife.errors import ClientClosed

NOT_QUEUED = "Nothing was queued"
"""What becomes of a record that is not accepted: a clause for errors' texts."""


def client_closed(client: str, why: str, so: str = "") -> ClientClosed:
    """The error of `client` ("client 'orders'"), closed because of `why`; `so` is what becomes of the
    caller's business: a clause.
    """
    return ClientClosed(f"{client} takes no more records: {why}. {f'{so}; start' if so else 'Start'} a new client.")
