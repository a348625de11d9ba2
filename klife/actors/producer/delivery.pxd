cimport cython

from klife.actors.producer.batch cimport Batch
from klife.actors.producer.places cimport Places

cdef class Delivery:
    cdef public Batch _batch
    cdef public Py_ssize_t _index

    @cython.locals(batch=Batch)
    cpdef get(self, timeout=*)

cdef class BatchDelivery:
    cdef public Places _places
