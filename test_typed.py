# test_typed.py
import json

import pytest

from klife import Record, TopicConfig
from klife.testing import all_produced


@pytest.fixture
def klife_options():
    return {"topics": [TopicConfig(name="orders", value_serializer=lambda value: json.dumps(value).encode())]}


def test_an_order_is_json(klife_client):
    klife_client.produce(Record(topic="orders", value={"coffee": 2})).get()
    assert [record.value for record in all_produced(klife_client, "orders")] == [b'{"coffee": 2}']
