cimport cython

from klife.protocol.framing cimport FrameReader

cdef class Reply:
    cdef public object tag
    cdef public object response

cdef class _Sent:
    cdef public object correlation_id
    cdef public object request_class
    cdef public object version
    cdef public object tag

cdef class KafkaConnection:
    cdef public object state
    cdef public object ranges
    cdef public object throttle_ms
    cdef public object _client_id
    cdef public object _max_response_bytes
    cdef public FrameReader _reader
    cdef public object _in_flight
    cdef public object _next_correlation_id
    cdef public dict _agreed
    cdef public list _handshake

    @cython.locals(sent=_Sent, replies=list)
    cpdef list receive(self, data)
    cpdef list _encode(self, request, version, tag, client_id, bint expect_reply)

cdef _response(frame, _Sent sent, offset)
