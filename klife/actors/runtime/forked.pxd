cpdef bint is_forked() except -1
cpdef take_note()
