from klife.actors.producer.delivery cimport delivery_of_last
from klife.api.intake cimport Intake

cdef class Client(Intake):
    pass
