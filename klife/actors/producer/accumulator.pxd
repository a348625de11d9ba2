cimport cython

cdef class Accumulator

from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.producer.delivery_clock cimport DeliveryClock
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.partition_queue cimport PartitionQueue
from klife.actors.producer.routing_table cimport RoutingTable

cdef class Accumulator:
    cdef public object settings
    cdef public BufferPool pool
    cdef public object home
    cdef public double max_block
    cdef public bint idempotent
    cdef public RoutingTable routing
    cdef public DeliveryClock clock
    cdef public HubWatch hub_watch
    cdef public object turn
    cdef public object callbacks
    cdef public double linger
    cdef public Identity identity
    cdef public object identity_known
    cdef public object identity_error
    cdef public object inbox
    cdef public object await_partition
    cdef public Py_ssize_t hurried
    cdef public object closed
    cdef public long long delivered
    cdef public long long failed
    cdef public long long requests
    cdef public long long retries

    @cython.locals(root=Batch)
    cpdef settle(self, Batch batch, base_offset, long long append_time_ms, error)
    @cython.locals(queue=PartitionQueue)
    cpdef written(self, Batch batch, long long base_offset, long long append_time_ms)
    cpdef _complete(self, Batch batch)
