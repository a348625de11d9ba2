"""Klife: a Kafka client for greenlet-based Python services.

    from klife import Client, Record

    client = Client.start("localhost:9092")
    print(client.produce(Record(topic="orders", value=b"...")).get().offset)

The public names are loaded when first used (PEP 562): importing a part, such as the sans-IO `klife.protocol`,
does not import gevent.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from klife.core import choose
from klife.version import __version__

if TYPE_CHECKING:
    from klife.actors.producer.delivery import BatchDelivery, Delivery
    from klife.actors.producer.partitioners import (
        Crc32Partitioner,
        Murmur2Partitioner,
        Phash2Partitioner,
        RandomPartitioner,
    )
    from klife.actors.producer.status import ProducerStatus
    from klife.actors.runtime.future import WaitTimeout
    from klife.actors.transactions.status import TxnPoolStatus
    from klife.admin import AdminClient
    from klife.api.client import Client
    from klife.api.config import ClientConfig, ProducerConfig, SaslConfig, TlsConfig, TopicConfig, TxnPoolConfig
    from klife.api.doctor import DoctorReport
    from klife.api.status import BrokerStatus, ClientStatus, PartitionStatus, StopReport
    from klife.api.transaction import Transaction
    from klife.errors import (
        AdminError,
        BatchError,
        BrokersUnreachable,
        BufferFull,
        ClientClosed,
        ConfigError,
        DeliveryTimeout,
        FlushTimeout,
        ForkedDelivery,
        InvalidRecordType,
        InvalidRecordValue,
        KlifeError,
        NoSuchClient,
        NotReady,
        PoolExhausted,
        ProduceError,
        RecordTooLarge,
        SerializationError,
        TransactionAborted,
        TransactionError,
        TransactionFenced,
        TransactionMisused,
        UnknownPartition,
        UnknownTopic,
    )
    from klife.partitioner import Partitioner
    from klife.record import Delivered, Record
    from klife.serializer import SerializationContext

_WHERE = {
    "klife.admin": ("AdminClient",),
    "klife.api.client": ("Client",),
    "klife.api.config": ("ClientConfig", "ProducerConfig", "SaslConfig", "TlsConfig", "TopicConfig", "TxnPoolConfig"),
    "klife.api.doctor": ("DoctorReport",),
    "klife.api.status": ("BrokerStatus", "ClientStatus", "PartitionStatus", "StopReport"),
    "klife.api.transaction": ("Transaction",),
    "klife.partitioner": ("Partitioner",),
    "klife.record": ("Delivered", "Record"),
    "klife.serializer": ("SerializationContext",),
    "klife.actors.producer.delivery": ("BatchDelivery", "Delivery"),
    "klife.actors.producer.partitioners": (
        "Crc32Partitioner",
        "Murmur2Partitioner",
        "Phash2Partitioner",
        "RandomPartitioner",
    ),
    "klife.actors.producer.status": ("ProducerStatus",),
    "klife.actors.runtime.future": ("WaitTimeout",),
    "klife.actors.transactions.status": ("TxnPoolStatus",),
    "klife.errors": (
        "AdminError",
        "BatchError",
        "BrokersUnreachable",
        "BufferFull",
        "ClientClosed",
        "ConfigError",
        "DeliveryTimeout",
        "FlushTimeout",
        "ForkedDelivery",
        "InvalidRecordType",
        "InvalidRecordValue",
        "KlifeError",
        "NoSuchClient",
        "NotReady",
        "PoolExhausted",
        "ProduceError",
        "RecordTooLarge",
        "SerializationError",
        "TransactionAborted",
        "TransactionError",
        "TransactionFenced",
        "TransactionMisused",
        "UnknownPartition",
        "UnknownTopic",
    ),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

compiled: bool = choose()
"""Whether the compiled core is in use; without a C compiler at installation, or with KLIFE_PURE=1, it is not."""

__all__ = [
    "AdminClient",
    "AdminError",
    "BatchDelivery",
    "BatchError",
    "BrokerStatus",
    "BrokersUnreachable",
    "BufferFull",
    "Client",
    "ClientClosed",
    "ClientConfig",
    "ClientStatus",
    "ConfigError",
    "Crc32Partitioner",
    "Delivered",
    "Delivery",
    "DeliveryTimeout",
    "DoctorReport",
    "FlushTimeout",
    "ForkedDelivery",
    "InvalidRecordType",
    "InvalidRecordValue",
    "KlifeError",
    "Murmur2Partitioner",
    "NoSuchClient",
    "NotReady",
    "PartitionStatus",
    "Partitioner",
    "Phash2Partitioner",
    "PoolExhausted",
    "ProduceError",
    "ProducerConfig",
    "ProducerStatus",
    "RandomPartitioner",
    "Record",
    "RecordTooLarge",
    "SaslConfig",
    "SerializationContext",
    "SerializationError",
    "StopReport",
    "TlsConfig",
    "TopicConfig",
    "Transaction",
    "TransactionAborted",
    "TransactionError",
    "TransactionFenced",
    "TransactionMisused",
    "TxnPoolConfig",
    "TxnPoolStatus",
    "UnknownPartition",
    "UnknownTopic",
    "WaitTimeout",
    "__version__",
    "compiled",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'klife' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
