# What klife uses of CPython and Cython's own declarations lack.

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except -1
    void Py_LeaveRecursiveCall()
    void PyObject_GC_UnTrack(object)

cdef extern from *:
    """
    // What `time.time_ns` reads, without an object for it.
    static long long klife_wall_clock_ns(void) {
    #if PY_VERSION_HEX >= 0x030D0000
        PyTime_t now;
        if (PyTime_Time(&now) < 0) {
            PyErr_Clear();
            return 0;
        }
        return now;
    #else
        return _PyTime_GetSystemClock();
    #endif
    }
    """
    long long wall_clock_ns "klife_wall_clock_ns"() noexcept
