from klife.actors.runtime.latch cimport Latch

cdef class Claim(Latch):
    cdef public long long size
    cdef public bint granted

cdef class BufferPool:
    cdef public long long limit
    cdef public long long room
    cdef public bint block
    cdef public long long _free
    cdef public object waiters
    cdef public dict _overdrafts
    cdef public object on_pressure

    cpdef allow_overdraft(self, long long size)
    cpdef give(self, long long size)
    cpdef give_back(self, owner)
