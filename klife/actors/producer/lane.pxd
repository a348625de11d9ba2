cimport cython

cdef class Lane

from klife.actors.producer.accumulator cimport Accumulator
from klife.actors.producer.batch cimport Batch
from klife.actors.producer.partition_queue cimport PartitionQueue
from klife.actors.runtime.inbox cimport Inbox

cdef class Lane:
    cdef public Accumulator accumulator
    cdef public object node_id
    cdef public object index
    cdef public object channel
    cdef public object ready
    cdef public set calls
    cdef public object completed
    cdef public Inbox inbox
    cdef public Py_ssize_t max_in_flight
    cdef public bint has_actor
    cdef public double wake_at
    cdef public list _later
    cdef public object _ticket

    cpdef wake(self)
    @cython.locals(inbox=Inbox)
    cpdef batch_opened(self, PartitionQueue queue, Batch batch)
    cpdef offer(self, PartitionQueue queue)
    @cython.locals(queue=PartitionQueue)
    cpdef promote(self, double now)
    cpdef double next_due(self)
    @cython.locals(queue=PartitionQueue, batch=Batch, fresh=Batch, batches=list, taken=set, limit=Py_ssize_t, total=Py_ssize_t, linger=double)
    cpdef list drain(self, double now)
