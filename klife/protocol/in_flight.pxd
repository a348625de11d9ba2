cdef class InFlight:
    cdef public object request
    cdef public object correlation_id
    cdef public object version
    cdef public object response
