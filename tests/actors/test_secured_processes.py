"""TLS and SASL in processes that fork, and that are patched or not. Each program runs in a process of its own,
against brokers in this one.
"""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent
from typing import Any

import pytest
from gevent import get_hub

from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import ScriptedCluster
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.secured import broker_context, made_in


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made_in(tmp_path_factory.mktemp("tls"))


def run(program: str, cluster: ScriptedCluster, ca_file: str) -> str:
    """What it wrote to standard output; there is nothing in standard error."""
    command = [sys.executable, "-c", dedent(program), cluster.bootstrap_servers, ca_file]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False))
    assert (ended.returncode, ended.stderr) == (0, "")
    return str(ended.stdout)


def test_a_forked_child_sends_nothing_on_its_parents_connection_and_has_its_own(certificates: Any) -> None:
    program = """
        import os, sys, time
        import gevent
        from klife import Client, Record

        asked = []

        def provider():
            asked.append(os.getpid())
            return "token", time.time() + 1.0

        servers, ca_file = sys.argv[1:]
        sasl = {"mechanism": "OAUTHBEARER", "token_provider": provider}
        client = Client.start(servers, name="web", tls={"ca_file": ca_file}, sasl=sasl)

        def produce(text):
            return client.produce(Record("orders", text)).get(20).offset

        produce(b"parent")
        for use in (lambda: gevent.sleep(1.2), lambda: produce(b"child")):
            pid = os.fork()
            if pid == 0:
                before = list(asked)
                use()
                # A child that does not use the client asks for no token in its parent's place.
                print(sorted(set(asked[len(before):])) == ([os.getpid()] if use() else []), flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            produce(b"parent")
        print(client.status().brokers[-1].connects)
        client.stop()
    """
    sasl = ScriptedSasl(("OAUTHBEARER",), tokens={"token"})
    with ScriptedCluster(tls=broker_context(certificates), sasl=sasl) as cluster:
        assert run(program, cluster, certificates.ca_file) == "True\nTrue\n1\n"
        log = cluster.log("orders")
        assert [log.count(b"parent"), log.count(b"child")] == [3, 2]
        assert len({exchange.connection for exchange in cluster[1].got(ProduceRequest)}) == 2


@pytest.mark.parametrize("patch", ["before", "after", "never"])
def test_a_context_that_its_user_made_is_used_patched_or_not(certificates: Any, patch: str) -> None:
    patched = "from gevent import monkey; monkey.patch_all()"
    program = f"""
        import sys, warnings
        warnings.simplefilter("ignore")  # gevent's, of ssl having been imported before
        {patched if patch == "before" else ""}
        import ssl
        context = ssl.create_default_context(cafile=sys.argv[2])
        {patched if patch == "after" else ""}
        from klife import Client, Record

        for tls in (context, {{"ca_file": sys.argv[2]}}):
            with Client.start(sys.argv[1], tls=tls) as client:
                print(client.produce(Record("orders", b"v")).get(20).offset)
    """
    with ScriptedCluster(tls=broker_context(certificates)) as cluster:
        assert run(program, cluster, certificates.ca_file) == "0\n1\n"
