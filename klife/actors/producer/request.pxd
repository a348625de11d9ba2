cimport cython

from klife.actors.network.call cimport Call
from klife.actors.producer.producer cimport Producer
from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.batcher cimport Batcher
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.routing cimport Routing
from klife.protocol.records cimport encode_payload, encode_plain
from klife.protocol.produce_wire cimport PlainAnswer

cdef class InFlightRequest(Call):
    cdef public Batcher batcher
    cdef public list batches
    cdef public dict by_topic
    cdef public bint by_id
    cdef public bint submitted

    @cython.locals(batch=Batch, queue=Partition, producer=Producer, topics=dict, batches=list, topic=tuple)
    cpdef bint pack(self, timeout_ms, not_encodable) except -1
    cpdef tell(self)
    @cython.locals(batches=dict, batch=Batch, producer=Producer)
    cpdef written(self, PlainAnswer answer)
    @cython.locals(batch=Batch, queue=Partition, routing=Routing)
    cpdef offer_what_is_left(self)

@cython.locals(identity=Identity, fields=list)
cdef _encoded(Batch batch, settings, budget)
