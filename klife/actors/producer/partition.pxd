cimport cython

cdef double _NEVER

cdef class Partition

from klife.actors.producer.producer cimport Producer
from klife.actors.producer.batch cimport Batch, Identity
from klife.actors.producer.buffer_pool cimport BufferPool, Claim
from klife.actors.producer.deadlines cimport Deadlines
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.batcher cimport Batcher
from klife.actors.producer.places cimport Places
from klife.actors.producer.route cimport TopicRoute

cdef class Partition:
    cdef public Producer producer
    cdef public TopicRoute route
    cdef public object topic
    cdef public object partition
    cdef public Batcher batcher
    cdef public Batch open
    cdef public list pending
    cdef public list in_flight
    cdef public double retry_at
    cdef public Py_ssize_t failures
    cdef public object refused
    cdef public Identity identity
    cdef public long long next_sequence
    cdef public bint sequence_lost
    cdef public Identity accepted
    cdef public double accepted_at
    cdef public object accepted_number
    cdef public object given_up
    cdef public bint has_append_time
    cdef public bint listed
    cdef public bint growing
    cdef public object opened
    cdef public list callback_backlog
    cdef public bint callbacks_running

    @cython.locals(producer=Producer, batcher=Batcher, batch=Batch, pool=BufferPool, clock=Deadlines, hub_watch=HubWatch, room="long long")
    cdef Batch begin(self, tuple entry, Py_ssize_t size, Claim claim, Places places, Py_ssize_t at)
    cpdef Batch take_fresh(self, Py_ssize_t room)
    @cython.locals(batch=Batch, first=Batch)
    cpdef Batch head(self, double now, double linger)
    cpdef take(self, Batch batch)
    cpdef bint _has_identity(self, Batch batch) except *
    cpdef written(self, Batch batch)
    cpdef long long append_time(self, Batch batch, long long append_time_ms) except? -2
    cpdef _landed(self, Batch batch)
