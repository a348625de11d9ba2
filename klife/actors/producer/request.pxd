from klife.actors.network.call cimport Call
from klife.actors.producer.batch cimport Batch
from klife.actors.producer.batcher cimport Batcher
from klife.actors.producer.identity cimport Identity
from klife.actors.producer.partition cimport Partition
from klife.protocol.records cimport encode_payload, encode_plain
from klife.protocol.written_partitions cimport WrittenPartitions

cdef class InFlightRequest(Call):
    cdef public Batcher batcher
    cdef public list batches
    cdef public dict by_topic
    cdef public bint by_id
    cdef public bint submitted

    cpdef bint pack(self, budget, timeout_ms, not_encodable) except -1
    cpdef tuple _one_by_one(self, list of_topic, budget, not_encodable)
    cpdef finish(self, error=*)
