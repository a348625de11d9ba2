cdef extern from *:
    """
    // A record may be the value of a record, and so on. Freed one inside the other, a million of them take more stack than there is;
    // what CPython has against that is for objects that the garbage collector looks at. So below some depth a record waits in a list
    // until the last one above that has ended.
    #define KLIFE_DEEPEST 64

    static destructor klife_free_record, klife_free_delivered;
    static PyTypeObject *klife_delivered;
    static int klife_depth;
    static PyObject **klife_waiting;
    static Py_ssize_t klife_waiting_count, klife_waiting_room;

    static int klife_may_wait(PyObject *o) {
        if (klife_waiting_count == klife_waiting_room) {
            Py_ssize_t room = 2 * klife_waiting_room + 8;
            PyObject **more = (PyObject **)PyMem_RawRealloc(klife_waiting, room * sizeof(PyObject *));
            if (!more) return 0;
            klife_waiting = more;
            klife_waiting_room = room;
        }
        klife_waiting[klife_waiting_count++] = o;
        return 1;
    }

    static inline void klife_end(PyObject *o, destructor own, destructor free) {
        PyTypeObject *type = Py_TYPE(o);
        if (type->tp_finalize && type->tp_dealloc == own && PyObject_CallFinalizerFromDealloc(o)) return;  // a patched class
        if (klife_depth >= KLIFE_DEEPEST && klife_may_wait(o)) return;
        klife_depth++;
        free(o);
        while (klife_depth == KLIFE_DEEPEST && klife_waiting_count) {
            o = klife_waiting[--klife_waiting_count];
            (PyType_IsSubtype(Py_TYPE(o), klife_delivered) ? klife_free_delivered : klife_free_record)(o);
        }
        klife_depth--;
    }

    static void klife_end_record(PyObject *o) { klife_end(o, klife_end_record, klife_free_record); }
    static void klife_end_delivered(PyObject *o) { klife_end(o, klife_end_delivered, klife_free_delivered); }

    static void free_one_by_one(PyObject *record, PyObject *delivered) {
        klife_delivered = (PyTypeObject *)delivered;
        klife_free_record = ((PyTypeObject *)record)->tp_dealloc;
        klife_free_delivered = klife_delivered->tp_dealloc;
        ((PyTypeObject *)record)->tp_dealloc = klife_end_record;
        klife_delivered->tp_dealloc = klife_end_delivered;
    }
    """
    void free_one_by_one(object record, object delivered)
