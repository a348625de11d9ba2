cdef class Callbacks:
    cdef public object _pool
    cdef public object _home
    cdef public object _loop
    cdef public object _idle
    cdef public dict _runners
    cdef public object _turn
    cdef public Py_ssize_t running
