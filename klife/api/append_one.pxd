from klife.actors.producer.delivery cimport Places
from klife.actors.producer.topic cimport Topic
from klife.actors.runtime.forked cimport is_forked, take_note
from klife.record cimport Record

cdef class AppendOne:
    cdef public object _handle
    cdef public object _producers
    cdef public dict _topics
    cdef public dict _known
    cdef public unsigned long _home
    cdef public bint _own_thread
    cdef public dict _owners

    cdef accepted(self, record, producer, partitioner, bint wanted, callback)
    cdef _accepted_here(self, record, producer, partitioner, bint wanted, callback)
    cpdef _join_here(self, Topic topic, record, bint wanted, callback)
    cpdef _append(self, record, producer, partitioner, deadline, Places places=*, Py_ssize_t at=*, bint wanted=*, callback=*, transaction=*)
