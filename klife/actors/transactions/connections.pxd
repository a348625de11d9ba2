from klife.actors.network.broker cimport Broker

cdef class Connections:
    cdef public object _metadata
    cdef public bint are_quick
    cdef public Py_ssize_t _late

    cpdef answered(self, double seconds)
    cpdef Broker broker(self, node_id)
