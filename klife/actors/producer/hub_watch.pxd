cdef class HubWatch:
    cdef public long long looked_ms
    cdef public object stamp
    cdef public double due
    cdef public bint _marked
    cdef public object _loop
    cdef public object _hub
    cdef public bint _has_own_thread
    cdef public object on_other_hub

    cpdef bint look(self, long long now_ms, double now) except -1
    cpdef batch_opened(self)
    cpdef _hub_ran(self, double now)
