cdef class Call:
    cdef public object request
    cdef public double deadline
    cdef public object on_done
    cdef public object response
    cdef public object error

    cpdef finish(self, response, error=*)
