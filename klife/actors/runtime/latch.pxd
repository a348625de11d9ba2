cdef class Latch:
    cdef public bint is_set
    cdef public object _home
    cdef public object _loop
    cdef public list _greenlets
    cdef public list _locks

    cpdef set(self)
    cpdef bint wait(self, timeout=*) except *
