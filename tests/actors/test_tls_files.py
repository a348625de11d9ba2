"""What is wrong with the files of `tls`: told with the option and the file, and never asked for on a terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from pydantic import SecretStr

from klife.actors.network.tls_context import check_tls_files
from klife.actors.settings import TlsSettings
from tests.support.secured import made_in


class Files:
    """Good ones, to be spoiled."""

    def __init__(self, folder: Path) -> None:
        self.certificates = made_in(folder)
        self.folder = folder
        self.ca = self.certificates.ca_file
        self.own = self.certificates.client()
        self.encrypted = self.certificates.client(key_password="klife-key")

    def with_(self, option: str, content: bytes) -> dict[str, Any]:
        """The good ones, but `content` in the file of `option`."""
        path = self.folder / "spoilt.pem"
        path.write_bytes(content)
        return {"ca_file": self.ca, **self.own, option: str(path)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def half(path: str) -> bytes:
    content = Path(path).read_bytes()
    return content[: len(content) // 3]


CASES: dict[str, tuple[Callable[[Files], dict[str, Any]], str]] = {
    "missing": (lambda files: {"ca_file": "/not/here.pem"}, r"^ca_file: '/not/here\.pem' can not be read: No such file"),
    "a folder": (lambda files: {"ca_file": str(files.folder)}, r"^ca_file: '.*' can not be read: Is a directory"),
    "no PEM": (
        lambda files: files.with_("ca_file", b"\x30\x82" + bytes(100)),
        r"^ca_file: '.*spoilt\.pem' holds no certificate in PEM",
    ),
    "empty": (lambda files: files.with_("cert_file", b""), r"^cert_file: '.*spoilt\.pem' holds no certificate in PEM"),
    "half a certificate": (lambda files: files.with_("ca_file", half(files.ca)), r"^ca_file: '.*spoilt\.pem' ends in the middle"),
    "no certificate inside": (
        lambda files: files.with_("ca_file", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        r"^ca_file: '.*spoilt\.pem' holds something that is no certificate, 1 of 1",
    ),
    "the key as certificate": (
        lambda files: {**files.own, "cert_file": files.own["key_file"]},
        r"^cert_file: '.*' holds no certificate in PEM",
    ),
    "no key": (lambda files: {"cert_file": files.own["cert_file"]}, r"^cert_file: '.*' holds no private key.*name .* in key_file"),
    "the certificate as key": (
        lambda files: {**files.own, "key_file": files.own["cert_file"]},
        r"^key_file: '.*' holds no private key",
    ),
    "half a key": (
        lambda files: files.with_("key_file", half(files.own["key_file"])),
        r"^key_file: '.*spoilt\.pem' can not be read as",
    ),
    "another's key": (
        lambda files: {**files.own, "key_file": files.certificates.client()["key_file"]},
        r"^key_file: '.*' holds the private key of another certificate than cert_file '",
    ),
    "no password": (
        lambda files: {**files.encrypted, "key_password": None},
        r"^key_file: '.*' holds an encrypted private key, and there is no key_password: set it",
    ),
    "a wrong password": (
        lambda files: {**files.encrypted, "key_password": SecretStr("wrong-secret")},
        r"^key_password: it does not open the private key in '",
    ),
    "a key alone": (lambda files: {"key_file": files.own["key_file"]}, r"^key_file: '.*' is of no use without cert_file"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_trouble_names_option_and_file(files: Files, case: Any) -> None:
    spoilt, told = case
    with pytest.raises(ValueError, match=told) as raised:
        check_tls_files(TlsSettings(**spoilt(files)))
    assert "wrong-secret" not in str(raised.value)


def test_good_ones_are_good(files: Files) -> None:
    encrypted = {**files.encrypted, "key_password": SecretStr("klife-key")}
    for settings in (TlsSettings(), TlsSettings(ca_file=files.ca, **files.own), TlsSettings(**encrypted)):
        check_tls_files(settings)


@pytest.mark.parametrize("when", ["before klife", "after klife", "never"])
def test_patched_or_not_contexts_are_made_and_ssl_is_not_loaded_by_klife_first(files: Files, when: str) -> None:
    patch = "from gevent import monkey; monkey.patch_all()"
    program = f"""
        import sys
        {patch if when == "before klife" else ""}
        import klife
        from klife.actors.network import connection_actor, tls_context
        from klife.actors.settings import TlsSettings
        if {when != "before klife"}:
            assert "ssl" not in sys.modules
        {patch if when == "after klife" else ""}
        tls_context.check_tls_files(TlsSettings(ca_file={files.ca!r}, check_hostname=False))
        from klife.actors.network.tls_trouble import looking_context
        looking_context(tls_context.new_context(TlsSettings(ca_file={files.ca!r})))
        print("made")
    """
    ended = subprocess.run([sys.executable, "-W", "error", "-c", dedent(program)], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("made\n", "")
