cimport cython

cdef class Accumulator

from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.producer.partition_queue cimport PartitionQueue

cdef class Accumulator:
    cdef public object settings
    cdef public BufferPool pool
    cdef public object home
    cdef public double max_block
    cdef public bint idempotent
    cdef public dict routes
    cdef public dict lanes
    cdef public object turn
    cdef public object callbacks
    cdef public dict pending
    cdef public double linger
    cdef public Identity identity
    cdef public object identity_known
    cdef public object identity_error
    cdef public object inbox
    cdef public double clock_due
    cdef public Py_ssize_t hurried
    cdef public object _loop
    cdef public bint _hub_marked
    cdef public long long hub_looked_ms
    cdef public long long _hub_due_ms
    cdef public list _growing
    cdef public object closed
    cdef public long long delivered
    cdef public long long failed
    cdef public long long requests
    cdef public long long retries
    cdef public object _channel_of
    cdef public dict _leaderless
    cdef public dict _absent

    cpdef offer(self, PartitionQueue queue)
    cpdef look_at_hub(self, long long now_ms)
    cpdef hub_ran(self, double now)
    @cython.locals(queue=PartitionQueue)
    cpdef batch_opened(self, Batch batch)
    @cython.locals(root=Batch)
    cpdef settle(self, Batch batch, base_offset, long long append_time_ms, error)
    cpdef written(self, Batch batch, long long base_offset, long long append_time_ms)
    cpdef _complete(self, Batch batch)
