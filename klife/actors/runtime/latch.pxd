from klife.actors.runtime.forked cimport is_forked, take_note

cdef class Wakeups:
    cdef public object loop
    cdef public object _poll
    cdef public object _lists
    cdef public bint _polling
    cdef public bint _scheduled
    cdef public object _budget
    cdef public double _left

    cpdef add(self, list waiters)

cdef class Latch:
    cdef public bint is_set
    cdef public object _home
    cdef public Wakeups _wakeups
    cdef public list _greenlets
    cdef public list _locks

    cpdef set(self)
    cpdef bint wait(self, timeout=*) except *
