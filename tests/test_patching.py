"""Tests and tracers replace methods of klife's classes, in the compiled build as in the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import wrapt

import klife
from klife import BatchDelivery, Client, Delivery, ProduceError, Record
from tests.support.producer_parts import Parts


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a cluster that is not there: what is not replaced fails soon."""
    with Client.start("127.0.0.1:1", name="patched", max_block_ms=1) as client:
        yield client
        client.stop(0)


RECORD = Record("orders", b"v")


def test_a_method_of_the_client_is_mocked_and_is_itself_again(client: Client) -> None:
    before = Client.__dict__["produce"]
    with mock.patch("klife.Client.produce") as produce:
        produce.return_value.get.return_value = "as agreed"
        assert client.produce(RECORD).get() == "as agreed"
        produce.assert_called_once_with(RECORD)
    assert Client.__dict__["produce"] is before
    with pytest.raises(ProduceError):
        client.produce(RECORD)


def test_a_class_method_is_mocked() -> None:
    with mock.patch.object(Client, "start", return_value="a client") as start:
        assert Client.start("kafka:9092", linger_ms=5) == "a client"
        start.assert_called_once_with("kafka:9092", linger_ms=5)


def test_a_property_is_mocked(client: Client) -> None:
    with mock.patch.object(Client, "name", new_callable=mock.PropertyMock, return_value="other"):
        assert client.name == "other"
        assert repr(client) == "<Client 'other'>"
    assert client.name == "patched"


def test_what_leaves_the_client_by_itself_finds_what_is_mocked(client: Client) -> None:
    with mock.patch.object(Client, "produce_batch") as produce_batch:
        client.produce_batch_async([RECORD], callback=print)
        assert produce_batch.call_args.args == ([RECORD],)
    with mock.patch.object(Client, "stop") as stop:
        with client:
            pass
        stop.assert_called_once_with()


@pytest.mark.parametrize("verb", ["get", "result"])
def test_an_outcome_is_mocked(verb: str) -> None:
    with mock.patch.object(Delivery, "get", return_value="delivered"):
        assert getattr(Delivery.__new__(Delivery), verb)() == "delivered"
    with mock.patch.object(BatchDelivery, "get", return_value=["delivered"]):
        assert getattr(BatchDelivery.__new__(BatchDelivery), verb)() == ["delivered"]


def test_a_record_is_made_in_another_way() -> None:
    with mock.patch.object(Record, "verify_batch", return_value=["fine"]):
        assert Record.verify_batch([]) == ["fine"]
    assert Record.verify_batch([]) == []


def test_wrapt_wraps_by_name(client: Client) -> None:
    seen: list[Any] = []

    def around(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append((instance, args, kwargs))
        return wrapped(*args, **kwargs)

    before = Client.__dict__["produce"]
    wrapt.wrap_function_wrapper("klife", "Client.produce", around)
    try:
        with pytest.raises(ProduceError):
            client.produce(RECORD, producer=None)
    finally:
        Client.produce = before  # type: ignore[method-assign]
    assert seen == [(client, (RECORD,), {"producer": None})]


def test_a_tracer_assigns_functions(client: Client) -> None:
    before, spans = Client.produce, []

    def produce(self: Client, *args: Any, **options: Any) -> Any:
        spans.append(self.name)
        return before(self, *args, **options)

    Client.produce = produce  # type: ignore[method-assign]
    Client.instrumented = True  # type: ignore[attr-defined]
    try:
        with pytest.raises(ProduceError):
            client.produce(RECORD)
        assert client.instrumented  # type: ignore[attr-defined]
    finally:
        Client.produce = before  # type: ignore[method-assign]
        del Client.instrumented  # type: ignore[attr-defined]
    assert spans == ["patched"]


def test_a_client_is_specified_by_its_class() -> None:
    double = mock.create_autospec(Client, instance=True)
    double.produce(RECORD)
    double.produce.assert_called_once_with(RECORD)
    assert isinstance(double, Client)
    with pytest.raises(AttributeError):
        double.prodcue(RECORD)


def test_classes_are_what_they_were() -> None:
    assert type(Parts().topic.append(Record("t", b"v"))) is klife.Delivery
    assert [cls.__module__ for cls in (Client, Delivery, Record)] == [
        "klife.api.client",
        "klife.actors.producer.delivery",
        "klife.record",
    ]


SIGNATURES = {
    Client.start: "(source=None, /, **options)",
    Client.get: "(name)",
    Client.produce: "(self, record, *, producer=None, partitioner=None)",
    Client.produce_async: "(self, record, callback=None, *, producer=None, partitioner=None)",
    Client.produce_batch: "(self, records, *, producer=None, partitioner=None)",
    Client.flush: "(self, timeout=None)",
    Client.stop: "(self, timeout=30.0)",
    Delivery.get: "(self, timeout=None)",
    Delivery.add_done_callback: "(self, callback)",
    BatchDelivery.get: "(self, timeout=None)",
    Record.verify_batch: "(results)",
}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__qualname__)
def test_signatures_are_known(function: Callable[..., Any]) -> None:
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    assert str(inspect.Signature(bare)).replace("self, /", "self") == SIGNATURES[function]


def test_docs_are_as_they_were_written() -> None:
    for cls in (Client, Delivery, BatchDelivery, Record):
        members = [getattr(cls, name) for name in dir(cls) if not name.startswith("_")]
        documented = [member for member in members if callable(member)]
        assert documented
        for member in (cls, *documented):
            assert member.__doc__
            assert "--" not in member.__doc__
            assert not member.__doc__.startswith(f"{member.__name__}(")
