from klife.actors.producer.batch cimport Batch
from klife.actors.producer.identity cimport Identity

cdef class KnownLog:
    cdef public Identity accepted
    cdef public double accepted_at
    cdef public object accepted_ordinal
    cdef public object given_up
    cdef public bint has_append_time

    cpdef long long append_time(self, Batch batch, long long append_time_ms) except? -2
