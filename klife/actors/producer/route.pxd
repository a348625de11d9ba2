cimport cython

cdef class TopicRoute

from klife.actors.producer.producer cimport Producer
from klife.actors.producer.batch cimport Batch
from klife.actors.producer.buffer_pool cimport BufferPool, Claim
from klife.actors.producer.delivery cimport Delivery
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.murmur2 cimport murmur2_positive
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.places cimport Places
from klife.record cimport Record

cdef bint _IN_C

cdef class TopicRoute:
    cdef public Producer producer
    cdef public object topic
    cdef public object info
    cdef public list queues
    cdef public Py_ssize_t count
    cdef public object partitioner
    cdef public Py_ssize_t sticky
    cdef public bint sticks
    cdef public object _partition
    cdef public bint _hashes
    cdef public BufferPool _pool
    cdef public Py_ssize_t _limit
    cdef public HubWatch _hub_watch

    @cython.locals(size=Py_ssize_t, place=Py_ssize_t, index=Py_ssize_t, delivery=Delivery, queue=Partition, batch=Batch, pool=BufferPool, room="long long", now_ns="long long", now_ms="long long", hub_watch=HubWatch)
    cpdef append(self, Record record, partitioner=*, deadline=*, bint looks=*, Places places=*, Py_ssize_t at=*, bint wanted=*, callback=*)
    @cython.locals(pool=BufferPool, claim=Claim, batch=Batch, room="long long", index=Py_ssize_t)
    cdef tuple _wait_or_look_again(self, Partition queue, tuple entry, Py_ssize_t size, deadline, Places places, Py_ssize_t at)
    cdef _call_when_settled(self, Batch batch, Py_ssize_t index, callback)
    cpdef stick_elsewhere(self)
