cpdef tuple write_payload(list fields, Py_ssize_t bound)

# What is written is held against `full`: whoever calls these has a buffer of that size.
cdef object buffer_for(Py_ssize_t before, Py_ssize_t bound)
cdef bytes written(object buffer, Py_ssize_t end)
cdef Py_ssize_t put_records(unsigned char* p, Py_ssize_t at, Py_ssize_t full, list fields) except -1
cdef long long latest(list fields) except? -1
