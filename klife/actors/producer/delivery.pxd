from klife.actors.producer.batch cimport Batch

cdef class Delivery:
    cdef public Batch _batch
    cdef public Py_ssize_t _index

    cpdef get(self, timeout=*)

cdef class Places:
    cdef public list batches
    cdef public long long[::1] indices
    cdef public dict failures
    cdef public object home
    cdef public object call_soon

    cpdef list results(self, Py_ssize_t start, Py_ssize_t end)

cdef class BatchDelivery:
    cdef public Places _places
