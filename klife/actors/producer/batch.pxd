cimport cython

from klife.actors.runtime.latch cimport Latch

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(object)

cdef bint _IN_C

cdef class Identity:
    cdef public object producer_id
    cdef public object epoch

cdef class Batch(Latch)

from klife.actors.producer.partition cimport Partition
from klife.record cimport Delivered

cdef class Batch(Latch):
    cdef public list callbacks
    cdef public list indices
    cdef public bint in_flight
    cdef public Identity identity
    cdef public long long sequence
    cdef public Py_ssize_t attempts
    cdef public bint fate_unknown
    cdef public bint number_refused
    cdef public object wire
    cdef public object base_offset
    cdef public long long append_time_ms
    cdef public object error
    cdef public Batch root
    cdef public object positions
    cdef public list outcomes
    cdef public Py_ssize_t missing
    cdef public Partition queue
    cdef public double created
    cdef public list fields
    cdef public Py_ssize_t count
    cdef public Py_ssize_t size
    cdef public object number

    @cython.locals(queue=Partition, result=Delivered, fields=list, at=Py_ssize_t)
    cpdef result(self, Py_ssize_t index)
    cpdef expect_callbacks(self)
    cpdef add_callback(self, index, callback)

cdef list _unvisited()
