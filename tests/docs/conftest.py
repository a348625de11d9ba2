"""For tests of the documentation: a cluster as a reader has it, without the topics that a page makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from klife import Client
from klife.testing.cluster import KafkaCluster
from tests.support.doc_pages import PAGES

_TEXT = "\n".join(page.read_text() for page in PAGES)


@pytest.fixture(scope="package")
def settled_cluster(kafka_cluster: KafkaCluster) -> KafkaCluster:
    """The cluster past its first seconds: it refuses producer ids for a moment, and the pages' programs do
    not show its excuses.
    """
    with Client.start(kafka_cluster.bootstrap_servers) as client:
        client.wait_ready()
    return kafka_cluster


@pytest.fixture
def documented_cluster(settled_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """The cluster for one page, with no topics but those of other tests: what the page needs it has to make.

    Others make theirs meanwhile, under names that are on no page; and the brokers their own, which are on some.
    """
    with settled_cluster.admin() as admin:
        before = admin.describe_topics().keys()
        yield settled_cluster
        made = admin.describe_topics().keys() - before
        if of_page := [name for name in made if name in _TEXT and not name.startswith("__")]:
            admin.delete_topics(of_page)
