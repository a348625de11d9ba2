from klife.protocol.batch_write cimport write_batch
from klife.protocol.record_write cimport write_payload

cpdef tuple encode_payload(list fields, Py_ssize_t bound)
cpdef tuple encode_plain(
    list fields,
    Py_ssize_t bound,
    long long producer_id,
    short producer_epoch,
    int base_sequence,
    bint is_transactional,
)
