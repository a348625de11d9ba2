"""`TlsContexts`: the `SSLContext` that new connections use.

Making one reads files, and the system's store takes 16 ms: so it is done in the thread pool, once for a
client, and again when a file has changed. What is wrong with the new files keeps nobody from working with
those of before: the old context stays, and one warning says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gevent

from klife.actors.network.tls_files import load_authorities, load_own_certificate, own_subject
from klife.actors.principal import Principal
from klife.actors.runtime.latch import never_waits
from klife.actors.runtime.thread_pool import call_in_thread
from klife.actors.settings import TlsSettings
from klife_supervision.logs import Logger, fields_here, get_logger

if TYPE_CHECKING:
    import ssl

log: Logger = get_logger("klife.tls")

_Stamp = tuple[tuple[float, int, int] | None, ...]


def check_tls_files(settings: TlsSettings) -> None:
    """Read the files as a connection would. Takes a few milliseconds, and waits for the disk.

    Raises:
        ValueError: one can not be used, or they do not fit together. Its text names the option and the file.
    """
    if settings.context is None:
        new_context(settings, checks=True)


class TlsContexts:
    """Of one client. Used in its home thread."""

    def __init__(self, settings: TlsSettings, principal: Principal | None = None) -> None:
        """`principal` is found in the client's certificate, if it is given."""
        self.settings = settings
        self._principal = principal
        self._context: ssl.SSLContext | None = settings.context
        self._trouble: str | None = None  # with the files as they are
        self._stamp: _Stamp = ()
        self._log_fields = fields_here.get()
        self._look: Any = None  # the greenlet of one, which outlives those who wait for it: a disk may hang

    def current(self) -> ssl.SSLContext:
        """The context for a new connection. In a greenlet that may be killed.

        Raises:
            ValueError: there never was one, and the files are of no use; its text is for users.
        """
        if self.settings.context is None:
            if self._look is None or self._look.dead:
                self._look = gevent.Greenlet(self._look_at_files)
                never_waits(self._look)
                self._look.start()
            self._look.join()
        if self._context is None:
            raise ValueError(self._trouble or "the files of tls were not read")
        return self._context

    def _look_at_files(self) -> None:
        fields_here.set(self._log_fields)
        try:
            stamp, context, trouble, subject = call_in_thread(self._looked, self._stamp)
        except Exception as error:  # noqa: BLE001 - no memory, no thread: told, and tried again by the next
            stamp, context, trouble, subject = (), None, f"the files of tls could not be read: {type(error).__name__}", None
        if context is not None:
            self._context = context
        if subject and self._principal is not None:
            self._principal.found(subject, "the subject of cert_file")
        if self._context is not None:
            if trouble is not None:
                log.warning("tls_files_not_used", reason=trouble, hint="new connections go on with the files as they were before")
            self._stamp = stamp
        self._trouble = trouble

    def _looked(self, known: _Stamp) -> tuple[_Stamp, ssl.SSLContext | None, str | None, str | None]:
        """In a thread: the files' stamp, and where that is not the `known` one a new context, or what is
        wrong; and the subject of the client's certificate.
        """
        stamp = _stamp_of(self.settings)
        if stamp == known:
            return stamp, None, None, None
        try:
            return stamp, new_context(self.settings), None, own_subject(self.settings)
        except ValueError as error:
            return stamp, None, str(error), None


def _stamp_of(settings: TlsSettings) -> _Stamp:
    """What changes when a file does. Without files there is one stamp, and so one context."""
    return (None, *map(_stamp_of_file, (settings.ca_file, settings.cert_file, settings.key_file)))


def _stamp_of_file(path: str | None) -> tuple[float, int, int] | None:
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def new_context(settings: TlsSettings, *, checks: bool = False) -> Any:
    """A context of klife's own; one that only `checks` the files knows no system's store, which takes long.

    Raises:
        ValueError: the files are of no use; the text says which, and why.
    """
    import ssl

    # The class that is there now: where the program is patched, the standard library's own recurses for ever
    # when something is set on it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # of TLS 1.2: no broker asks for it, and each is a handshake's work
    context.check_hostname = settings.check_hostname
    if settings.ca_file is not None:
        load_authorities(context, settings.ca_file)
    elif not checks:
        context.load_default_certs()
    load_own_certificate(context, settings)
    return context
