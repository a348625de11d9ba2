cdef unsigned char[::1] _page
cdef bint _is_wiped
cdef object _pid

cpdef bint is_forked() except -1
cpdef take_note()
