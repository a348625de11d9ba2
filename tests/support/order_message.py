"""`OrderMessage`: a Protobuf message as protoc would make it of

syntax = "proto3"; message Order { int32 number = 1; }
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FILE = descriptor_pb2.FileDescriptorProto(name="klife_tests/order.proto", syntax="proto3")
_field = _FILE.message_type.add(name="Order").field.add(name="number", number=1)
_field.type, _field.label = _field.TYPE_INT32, _field.LABEL_OPTIONAL
_pool = descriptor_pool.Default()
_pool.Add(_FILE)

OrderMessage: Any = message_factory.GetMessageClass(_pool.FindMessageTypeByName("Order"))
