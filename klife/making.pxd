cdef extern from *:
    """
    // `Record(...)` is what there is most of, and Python calls a class by a tuple and a dict that it makes of the arguments. This
    // takes them from where they are. Whatever is unusual about a call (an argument that is missing, not known or given twice, a
    // class that was patched) is left to that way; what is wrong with its arguments is said in Python's words.
    #define KLIFE_FIELDS 6

    typedef PyObject *(*klife_maker)(PyObject *, PyObject *, PyObject *, PyObject *, PyObject *, PyObject *);

    static klife_maker klife_make;
    static initproc klife_record_init;
    static newfunc klife_record_new;
    static PyObject *klife_fields;  // their names, interned as those of keywords in a program are
    static PyObject *klife_defaults;  // from the third on
    static PyObject *klife_signature;  // a function of Python's that takes the same, and a self

    static PyObject *klife_call_class(PyObject *type, PyObject *const *args, Py_ssize_t count, PyObject *names) {
        PyObject *positional = PyTuple_New(count), *named = NULL, *made = NULL;
        Py_ssize_t i;
        if (!positional) return NULL;
        for (i = 0; i < count; i++) {
            Py_INCREF(args[i]);
            PyTuple_SET_ITEM(positional, i, args[i]);
        }
        if (names) {
            named = PyDict_New();
            if (!named) goto end;
            for (i = 0; i < PyTuple_GET_SIZE(names); i++) {
                if (PyDict_SetItem(named, PyTuple_GET_ITEM(names, i), args[count + i]) < 0) goto end;
            }
        }
        made = PyType_Type.tp_call(type, positional, named);
    end:
        Py_DECREF(positional);
        Py_XDECREF(named);
        return made;
    }

    static void klife_say_it_as_python_does(PyObject *const *args, Py_ssize_t count, PyObject *names) {
        Py_ssize_t size = count + (names ? PyTuple_GET_SIZE(names) : 0);
        PyObject *kind, *error, *traceback, *taken = NULL, **all = PyMem_New(PyObject *, size + 1);
        PyErr_Fetch(&kind, &error, &traceback);
        if (all) {
            all[0] = Py_None;
            memcpy(all + 1, args, size * sizeof(PyObject *));
            taken = PyObject_Vectorcall(klife_signature, all, count + 1, names);
            PyMem_Free(all);
        }
        if (taken || !PyErr_Occurred()) {
            Py_XDECREF(taken);
            PyErr_Restore(kind, error, traceback);
            return;
        }
        Py_XDECREF(kind);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }

    static PyObject *klife_call_record(PyObject *type, PyObject *const *args, size_t flags, PyObject *names) {
        PyObject *fields[KLIFE_FIELDS] = {0}, *made;
        Py_ssize_t count = PyVectorcall_NARGS(flags), named = names ? PyTuple_GET_SIZE(names) : 0, i, at;
        if (((PyTypeObject *)type)->tp_init != klife_record_init || ((PyTypeObject *)type)->tp_new != klife_record_new) {
            return klife_call_class(type, args, count, names);
        }
        if (count > KLIFE_FIELDS) goto unusual;
        for (i = 0; i < count; i++) fields[i] = args[i];
        for (i = 0; i < named; i++) {
            for (at = count; at < KLIFE_FIELDS && PyTuple_GET_ITEM(klife_fields, at) != PyTuple_GET_ITEM(names, i); at++);
            if (at == KLIFE_FIELDS || fields[at]) goto unusual;
            fields[at] = args[count + i];
        }
        if (!fields[0] || !fields[1]) goto unusual;
        for (at = 2; at < KLIFE_FIELDS; at++) {
            if (!fields[at]) fields[at] = PyTuple_GET_ITEM(klife_defaults, at - 2);
        }
        return klife_make(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]);
    unusual:
        made = klife_call_class(type, args, count, names);
        if (!made && PyErr_ExceptionMatches(PyExc_TypeError)) klife_say_it_as_python_does(args, count, names);
        return made;
    }

    static void take_calls(PyObject *record, klife_maker make, PyObject *signature, PyObject *fields, PyObject *defaults) {
        PyTypeObject *type = (PyTypeObject *)record;
        klife_make = make;
        Py_INCREF(signature);
        klife_signature = signature;
        Py_INCREF(fields);
        klife_fields = fields;
        Py_INCREF(defaults);
        klife_defaults = defaults;
        klife_record_init = type->tp_init;
        klife_record_new = type->tp_new;
        type->tp_vectorcall = klife_call_record;
    }
    """
    ctypedef object (*klife_maker)(object, object, object, object, object, object)
    void take_calls(object record, klife_maker make, object signature, tuple fields, tuple defaults)
