from klife.api.append cimport Append
from klife.api.client_view cimport ClientView

cdef class Client(ClientView):
    cdef public Append _append
