cimport cython

cdef class Producer

from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.producer.deadlines cimport Deadlines
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.routing cimport Routing

cdef class Producer:
    cdef public object settings
    cdef public BufferPool pool
    cdef public object home
    cdef public double max_block
    cdef public bint idempotent
    cdef public Routing routing
    cdef public Deadlines deadlines
    cdef public HubWatch hub_watch
    cdef public object budget
    cdef public object callbacks
    cdef public double linger
    cdef public Identity identity
    cdef public object identity_error
    cdef public object inbox
    cdef public object await_partition
    cdef public Py_ssize_t skipping_linger
    cdef public object closed
    cdef public long long delivered
    cdef public long long failed
    cdef public long long requests
    cdef public long long retries

    @cython.locals(root=Batch)
    cpdef settle(self, Batch batch, base_offset, long long append_time_ms, error)
    @cython.locals(queue=Partition)
    cpdef written(self, Batch batch, long long base_offset, long long append_time_ms)
    cpdef _complete(self, Batch batch)
