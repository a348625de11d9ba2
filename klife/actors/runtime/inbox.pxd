from klife.actors.runtime.forked cimport is_forked, take_note

cdef class Inbox:
    cdef public object queue
    cdef public bint woken
    cdef public object look
    cdef public object _dead
    cdef public object _hub
    cdef public object _loop
    cdef public object _parked
    cdef public bint _scheduled
    cdef public bint idle
    cdef public bint busy
    cdef public bint gathering
    cdef public object _idle
    cdef public object _latest

    cpdef wake_when_idle(self)
    cpdef wake_after_ready(self)
    cpdef _gathered(self)
    cpdef _ready_ran(self)

    cpdef wake(self)
    cpdef wake_from_hub(self)
    cpdef _switch(self)
    cdef _look(self, greenlet)
    cpdef park(self)
