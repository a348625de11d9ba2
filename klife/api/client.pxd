from klife.api.append cimport Append

cdef class Client:
    cdef public object _handle
    cdef public Append _append
