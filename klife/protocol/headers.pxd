cimport cython

@cython.locals(pos=Py_ssize_t, tags=Py_ssize_t)
cpdef tuple decode_response_header(frame, request, version)
