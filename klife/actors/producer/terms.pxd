cdef class Terms:
    cdef public object settings
    cdef public object home
    cdef public bint own_thread
    cdef public bint idempotent
    cdef public double delivery_timeout
    cdef public Py_ssize_t batch_size_bytes
    cdef public Py_ssize_t max_in_flight
    cdef public double max_block
    cdef public double linger
    cdef public double drawn
    cdef public double drawn_until
    cdef public Py_ssize_t skipping_linger
    cdef public object closed
    cdef public double hub_ran_at
    cdef public object call_when_settled
    cdef public tuple produce_versions
    cdef public object awaits_admission

    cpdef double draw_together(self) except -1
