from klife.actors.producer.batch cimport Batch
from klife.actors.producer.identity cimport Identity
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.terms cimport Terms
from klife.actors.runtime.inbox cimport Inbox

cdef class Batcher:
    cdef public Terms terms
    cdef public object node_id
    cdef public object index
    cdef public object broker
    cdef public object ready
    cdef public set calls
    cdef public object completed
    cdef public Inbox inbox
    cdef public Py_ssize_t max_in_flight
    cdef public bint has_actor
    cdef public double wake_at
    cdef public Py_ssize_t gathers
    cdef public list ahead
    cdef public Py_ssize_t _patience
    cdef public double _left_alone_at
    cdef public list _later
    cdef public object _ticket
    cdef public Py_ssize_t _seen

    cpdef wake(self)
    cpdef batch_opened(self, Partition partition, Batch batch)
    cpdef gather(self)
    cpdef request_leaves(self, double now, Py_ssize_t batches)
    cdef _has_company(self)
    cpdef offer(self, Partition partition)
    cpdef bint is_complete(self, bint waited, bint busy, double now)
    cpdef promote(self, double now)
    cpdef double next_due(self)
    cdef bint _one_may_leave(self, double now, double linger) except -1
    cdef _end_linger(self, double now)
    cpdef tuple drain(self, double now, Identity identity)

cdef class Batchers:
    cdef public dict all
    cdef public object inbox
    cdef public set held_up
    cdef public Terms _terms
    cdef public object _broker_of
    cdef public dict _placed
    cdef public dict _leaderless

    cpdef wake(self)
    cpdef offer(self, Partition partition)
    cpdef offer_again(self, list batches)
    cpdef bint all_at_work(self) except -1
