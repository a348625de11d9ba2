from klife.protocol.in_flight cimport InFlight

cdef class Call(InFlight):
    cdef public double deadline
    cdef public double sent_at
    cdef public bint is_done
    cdef public object error
    cdef public object on_done

    cpdef finish(self, error=*)
    cpdef tell(self)
