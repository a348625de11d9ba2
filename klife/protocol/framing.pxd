cimport cython

@cython.locals(parts=list, size="long long", head=bytes)
cpdef list encode_request(request, version, correlation_id, client_id)

cdef class FrameReader:
    cdef public long long _max_frame_bytes
    cdef public object _whose_limit
    cdef public long long _size
    cdef public object _partial

    @cython.locals(frames=list, size="long long", pos=Py_ssize_t, end=Py_ssize_t, wanted=Py_ssize_t)
    cpdef list feed(self, data)
