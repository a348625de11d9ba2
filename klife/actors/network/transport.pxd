cdef class PlainTransport:
    cdef public bint readable
    cdef public bint writable
    cdef public object _sock
    cdef public object _outgoing
    cdef public object _wake
    cdef public object _reader
    cdef public object _writer

    cpdef read(self)
    cpdef bint write(self, list buffers) except -1
    cpdef bint write_more(self) except -1
