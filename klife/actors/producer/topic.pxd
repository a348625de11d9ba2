from klife.actors.producer.batch cimport Batch
from klife.actors.producer.batcher cimport Batcher
from klife.actors.producer.buffer_pool cimport BufferPool, Claim
from klife.actors.producer.deadlines cimport Deadlines
from klife.actors.producer.delivery cimport Delivery, Places
from klife.actors.producer.hub_watch cimport HubWatch
from klife.actors.producer.murmur2 cimport murmur2_positive
from klife.actors.producer.partition cimport Partition
from klife.actors.producer.topic_partitions cimport TopicPartitions
from klife.record cimport Record

cdef class Topic(TopicPartitions):
    cdef public Deadlines _deadlines
    cdef public object _timer
    cdef public BufferPool _pool
    cdef public Py_ssize_t _limit
    cdef public HubWatch _hub_watch

    cpdef append(self, Record record, partitioner=*, deadline=*, bint looks=*, Places places=*, Py_ssize_t at=*, bint wanted=*, callback=*)
    cdef Batch _begin(self, Partition partition, tuple entry, Py_ssize_t size, Claim claim, Places places, Py_ssize_t at)
    cdef _watch(self, Partition partition, Batch batch)
    cdef tuple _wait_or_look_again(self, Partition partition, bint keyless, tuple entry, Py_ssize_t size, deadline, Places places, Py_ssize_t at)
    cdef _call_when_settled(self, Batch batch, Py_ssize_t index, callback)
