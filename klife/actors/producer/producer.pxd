from klife.actors.producer.batch cimport Batch
from klife.actors.producer.batcher cimport Batchers
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.producer.callbacks cimport Callbacks
from klife.actors.producer.deadlines cimport Deadlines
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.identity cimport Identities
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.request cimport InFlightRequest
from klife.actors.producer.terms cimport Terms
from klife.protocol.produce_wire cimport PlainAnswer

cdef class Producer:
    cdef public object settings
    cdef public BufferPool pool
    cdef public Terms terms
    cdef public Identities identities
    cdef public Batchers batchers
    cdef public object routing
    cdef public Deadlines deadlines
    cdef public object deadline_timer
    cdef public HubWatch hub_watch
    cdef public object budget
    cdef public Callbacks callbacks
    cdef public object await_partition
    cdef public long long delivered_records
    cdef public long long failed_records
    cdef public long long requests
    cdef public long long retries

    cpdef written(self, InFlightRequest request, PlainAnswer answer)
    cpdef delivered(self, Partition partition, Batch batch, long long base_offset, long long append_time_ms)
    cdef _end(self, Batch batch, base_offset, long long append_time_ms, error)
    cpdef finish(self, Batch batch)
