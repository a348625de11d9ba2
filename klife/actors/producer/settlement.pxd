from klife.actors.producer.batch cimport Batch
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.producer.callbacks cimport Callbacks
from klife.actors.producer.deadlines cimport Deadlines
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.request cimport InFlightRequest
from klife.protocol.produce_wire cimport PlainAnswer

cdef class Settlement:
    cdef public BufferPool _pool
    cdef public Callbacks _callbacks
    cdef public Deadlines _deadlines
    cdef public long long delivered_records
    cdef public long long failed_records
    cdef public object first_error

    cpdef bint written(self, InFlightRequest request) except -1
    cpdef delivered(self, Partition partition, Batch batch, long long base_offset, long long append_time_ms)
    cdef _end(self, Batch batch, base_offset, long long append_time_ms, error)
    cpdef finish(self, Batch batch)
