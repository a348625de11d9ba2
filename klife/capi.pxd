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
    // An empty list with room for `room` items, of what can not be part of a circle: bytes, numbers, text. The collector leaves it out.
    static CYTHON_INLINE PyObject *klife_unvisited_list(Py_ssize_t room) {
        PyObject *list = PyList_New(room);
        if (!list) return NULL;
        Py_SET_SIZE(list, 0);
        PyObject_GC_UnTrack(list);
        return list;
    }

    // `list.extend((a, b, c, d))`, without a tuple, and without a look at each of them.
    static CYTHON_INLINE int klife_put_four(PyObject *list, PyObject *a, PyObject *b, PyObject *c, PyObject *d) {
        PyListObject *items = (PyListObject *)list;
        Py_ssize_t size;
        if (list == Py_None) {
            PyErr_SetString(PyExc_TypeError, "a list was expected, and not None");
            return -1;
        }
        size = Py_SIZE(list);
        if (size + 4 <= items->allocated) {
            Py_INCREF(a); PyList_SET_ITEM(list, size, a);
            Py_INCREF(b); PyList_SET_ITEM(list, size + 1, b);
            Py_INCREF(c); PyList_SET_ITEM(list, size + 2, c);
            Py_INCREF(d); PyList_SET_ITEM(list, size + 3, d);
            Py_SET_SIZE(list, size + 4);
            return 0;
        }
        if (PyList_Append(list, a) < 0 || PyList_Append(list, b) < 0 || PyList_Append(list, c) < 0) return -1;
        return PyList_Append(list, d);
    }
    """
    list unvisited_list "klife_unvisited_list"(Py_ssize_t room)
    int put_four "klife_put_four"(list, a, b, c, d) except -1

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
