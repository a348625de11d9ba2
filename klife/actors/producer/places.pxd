cimport cython

from klife.actors.producer.batch cimport Batch

cdef class Places:
    cdef public list batches
    cdef public list indices
    cdef public dict failures
    cdef public object home
    cdef public object call_soon

    @cython.locals(batch=Batch, place=Py_ssize_t, results=list)
    cpdef list results(self, Py_ssize_t start, Py_ssize_t end)
