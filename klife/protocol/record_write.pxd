cpdef tuple write_payload(list fields)
cpdef tuple write_batch(list fields, long long producer_id, short producer_epoch, int base_sequence, bint is_transactional=*)
cpdef bytes write_within(
    Py_ssize_t bound,
    list fields,
    long long producer_id,
    short producer_epoch,
    int base_sequence,
    bint is_transactional,
)

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
