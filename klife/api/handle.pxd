cdef class Handle:
    cdef public object _name
    cdef public object _engine
    cdef public object _held
    cdef public object _producers
    cdef public dict _routes
    cdef public unsigned long _home
    cdef public object _supervised
