cimport cython

cdef class PlainAnswer:
    cdef public list topics

cdef class BatchesRequest:
    cdef public object acks
    cdef public object timeout_ms
    cdef public object topics

    @cython.locals(parts=list, out=list, partitions=list, start=bytes, rest=bytes, size=Py_ssize_t, count=Py_ssize_t)
    cpdef list _flexible(self, version)

@cython.locals(count=Py_ssize_t, partitions=Py_ssize_t, topics=list, written=list)
cdef _plain(data, Py_ssize_t pos, bint by_id)
