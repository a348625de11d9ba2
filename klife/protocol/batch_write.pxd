from klife.protocol cimport record_write

cpdef bytes write_batch(
    list fields,
    Py_ssize_t bound,
    long long producer_id,
    short producer_epoch,
    int base_sequence,
    bint is_transactional,
)

# Held against `full`, as in `record_write`.
cdef Py_ssize_t put_batch(
    unsigned char* p,
    Py_ssize_t at,
    Py_ssize_t full,
    list fields,
    long long producer_id,
    short producer_epoch,
    int base_sequence,
    bint is_transactional,
) except -1
