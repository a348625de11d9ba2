from klife.protocol.headers cimport encode_request_header

cdef class FrameReader:
    cdef public long long _max_frame_bytes
    cdef public object _whose_limit
    cdef public long long _size
    cdef public object _partial

    cpdef list feed(self, data)

cpdef list encode_request(request, version, correlation_id, client_id)
