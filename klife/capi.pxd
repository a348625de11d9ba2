# What klife uses of CPython and Cython's own declarations lack.

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except -1
    void Py_LeaveRecursiveCall()
    void PyObject_GC_UnTrack(object)
