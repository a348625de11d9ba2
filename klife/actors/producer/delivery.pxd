cimport cython

from klife.actors.producer.batch cimport Batch

cdef class Delivery:
    cdef public Batch _batch
    cdef public Py_ssize_t _index

    @cython.locals(batch=Batch)
    cpdef get(self, timeout=*)
