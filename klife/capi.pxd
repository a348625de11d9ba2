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

cdef extern from *:
    """
    // Bytes that are there, for a function that takes a buffer; whoever has them keeps them meanwhile.
    static PyObject *klife_view(unsigned char *start, Py_ssize_t size) {
        return PyMemoryView_FromMemory((char *)start, size, PyBUF_READ);
    }

    // The first bytes of some that were made larger than what was written into them: the same object, if nobody else has it.
    static PyObject *klife_cut(PyObject *bytes, Py_ssize_t size) {
        if (!PyBytes_CheckExact(bytes) || size < 0 || size > Py_SIZE(bytes)) {
            PyErr_SetString(PyExc_ValueError, "not bytes, or not so many");
            return NULL;
        }
        if (Py_REFCNT(bytes) != 1) return PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes), size);
        Py_SET_SIZE(bytes, size);
        PyBytes_AS_STRING(bytes)[size] = 0;
        Py_INCREF(bytes);
        return bytes;
    }
    """
    object view_of "klife_view"(unsigned char *start, Py_ssize_t size)
    object cut "klife_cut"(object bytes, Py_ssize_t size)
