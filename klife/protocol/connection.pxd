from klife.protocol.framing cimport FrameReader
from klife.protocol.headers cimport decode_response_header
from klife.protocol.in_flight cimport InFlight

cdef class KafkaConnection:
    cdef public object state
    cdef public object ranges
    cdef public object features
    cdef public object throttle_ms
    cdef public object wish
    cdef public object session_lifetime_ms
    cdef public object _client_id
    cdef public object _max_response_bytes
    cdef public FrameReader _reader
    cdef public object _in_flight
    cdef public object _answered
    cdef public object _steps
    cdef public object _left
    cdef public object _exchange
    cdef public InFlight _own
    cdef public object _next_correlation_id
    cdef public dict _agreed
    cdef public list _handshake

    cpdef receive(self, data)
    cpdef list _encode(self, InFlight call, version, client_id, bint expect_reply)
