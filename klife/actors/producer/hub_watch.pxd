cdef class HubWatch:
    cdef public long long looked_ms
    cdef public long long _due_ms
    cdef public bint _marked
    cdef public object _loop

    cpdef bint look(self, long long now_ms) except -1
    cpdef hub_ran(self, double now)
