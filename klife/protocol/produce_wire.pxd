cdef class PlainAnswer:
    cdef public list topics

cdef class BatchesRequest:
    cdef public object acks
    cdef public object timeout_ms
    cdef public object topics

    cpdef list _flexible(self, version)
