from klife.actors.producer.identity cimport Identity
from klife.actors.producer.terms cimport Terms
from klife.actors.runtime.latch cimport Latch
from klife.record cimport Delivered

cdef class Batch(Latch):
    cdef public list callbacks
    cdef public list indices
    cdef public bint in_flight
    cdef public Identity identity
    cdef public long long sequence
    cdef public Py_ssize_t attempts
    cdef public bint fate_unknown
    cdef public bint sequence_refused
    cdef public object wire
    cdef public object ahead
    cdef public object base_offset
    cdef public long long append_time_ms
    cdef public object error
    cdef public Batch root
    cdef public object positions
    cdef public list outcomes
    cdef public Py_ssize_t missing
    cdef public object topic
    cdef public object partition_id
    cdef public Terms terms
    cdef public double created
    cdef public list fields
    cdef public Py_ssize_t count
    cdef public Py_ssize_t size
    cdef public object ordinal

    cpdef result(self, Py_ssize_t index)
    cpdef expect_callbacks(self)
    cpdef add_callback(self, index, callback)
