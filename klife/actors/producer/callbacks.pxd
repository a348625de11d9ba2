from klife.actors.producer.batch cimport Batch
from klife.actors.producer.buffer_pool cimport BufferPool
from klife.actors.runtime.forked cimport is_forked, take_note

cdef class Callbacks:
    cdef public BufferPool _pool
    cdef public object _home
    cdef public object _loop
    cdef public dict _ended
    cdef public dict _backlogs
    cdef public dict _runners
    cdef public object _spare
    cdef public object _budget
    cdef public Py_ssize_t _look_after
    cdef public bint _own_thread
    cdef public object _log_fields

    cpdef add(self, Batch batch, index, callback)
    cpdef settled_again(self, Batch batch)
    cpdef _run(self, tuple partition, list backlog)
    cdef _call_all(self, Batch batch)
    cdef _all_called(self, Batch batch)
