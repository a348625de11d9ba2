cdef class Identity:
    cdef public object producer_id
    cdef public object epoch
    cdef public set admitted

cdef class Identities:
    cdef public Identity current
    cdef public object error
