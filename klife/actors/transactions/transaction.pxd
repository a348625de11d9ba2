from klife.actors.producer.topic cimport Topic
from klife.actors.runtime.latch cimport Latch
from klife.record cimport Record

cdef class Owner:
    cdef public object _greenlet
    cdef public object _thread
    cdef public object _told
    cdef public object _block

    cpdef when_gone(self, tell)
    cpdef forget(self)

cdef class Transaction:
    cdef public object pool
    cdef public Owner owner
    cdef public double asked_at
    cdef public object producer
    cdef public dict topics
    cdef public double begun_at
    cdef public object closed
    cdef public bint forked
    cdef public bint commits
    cdef public bint given_up
    cdef public object cause
    cdef public bint committed
    cdef public object error
    cdef public Latch over
    cdef public dict _by_owner
    cdef public object _hub

    cpdef check(self, producer=*)
    cpdef joined(self)
    cpdef append(self, record, bint wanted, callback)
    cpdef forget(self)
