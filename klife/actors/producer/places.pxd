cimport cython

from klife.actors.producer.batch cimport Batch

cdef class Places:
    cdef public list batches
    cdef public list indices
    cdef public dict failures

    @cython.locals(batch=Batch)
    cpdef list results(self)
