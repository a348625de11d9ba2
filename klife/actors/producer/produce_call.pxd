cimport cython

from klife.actors.producer.accumulator cimport Accumulator
from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.lane cimport Lane
from klife.actors.producer.partition_queue cimport PartitionQueue
from klife.actors.producer.routing_table cimport RoutingTable
from klife.protocol.records cimport encode_payload, encode_plain
from klife.protocol.produce_wire cimport PlainAnswer

cdef class ProduceCall:
    cdef public Lane lane
    cdef public list batches
    cdef public dict by_topic
    cdef public bint by_id
    cdef public bint submitted
    cdef public object call

    @cython.locals(batch=Batch, queue=PartitionQueue, accumulator=Accumulator, topics=dict, batches=list, topic=tuple)
    cpdef pack(self, timeout_ms, not_encodable)
    cpdef done(self, call)
    @cython.locals(batches=dict, batch=Batch, accumulator=Accumulator)
    cpdef written(self, PlainAnswer answer)
    @cython.locals(batch=Batch, queue=PartitionQueue, routing=RoutingTable)
    cpdef offer_what_is_left(self)

@cython.locals(identity=Identity, fields=list)
cdef _encoded(Batch batch, settings, turn)
