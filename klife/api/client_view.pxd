cdef class ClientView:
    cdef public object _handle
