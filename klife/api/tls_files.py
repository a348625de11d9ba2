"""`check_tls_files`: whether the files of the option tls can be what their options want."""

from __future__ import annotations

from klife.actors.settings import TlsSettings


def check_tls_files(settings: TlsSettings) -> None:
    """Look whether the files are there.

    Raises:
        ValueError: one can not be read; the text names its option and the file.
    """
    for option in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, option)
        if path is None:
            continue
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise ValueError(f"{option}: {path} can not be read: {error.strerror}") from None
