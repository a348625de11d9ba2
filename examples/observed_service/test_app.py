"""The shop's tests: no Kafka, no Java, and a client that starts at the import."""

import importlib

import pytest


@pytest.fixture
def shop(klife_fake, monkeypatch):
    klife_fake.create_topic("orders", partitions=6)
    monkeypatch.setenv("KLIFE_BOOTSTRAP_SERVERS", klife_fake.bootstrap_servers)
    app = importlib.import_module("app")
    yield app.app.test_client()
    app.client.stop()


def test_an_order_is_a_record_and_counted(shop, klife_fake):
    answer = shop.post("/orders", data=b"one coffee")
    assert answer.status_code == 201

    [record] = klife_fake.records("orders", answer.json["partition"])
    assert (record.value, record.offset) == (b"one coffee", answer.json["offset"])
    assert shop.get("/readyz").status_code == 200

    klife_fake.fail_next("TOPIC_AUTHORIZATION_FAILED")
    refused = shop.post("/orders", data=b"one cake")
    assert (refused.status_code, refused.json["possibly_persisted"]) == (503, False)
    assert "klife_records_failed_total" in shop.get("/metrics").text
