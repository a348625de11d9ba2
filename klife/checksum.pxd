cdef extern from *:
    """
    // CRC-32C of a few kilobytes, by the processor's own instruction. The package crc32c does the same, and is quicker where there is
    // more of it; but calling it from C takes longer than it takes for so little. -1 where there is no such instruction, or it is not
    // known whether there is.
    #if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))

    #include <cpuid.h>

    __attribute__((target("sse4.2"))) static unsigned int klife_crc32c(const unsigned char *p, Py_ssize_t size) {
        unsigned long long crc = 0xFFFFFFFF, word;
        for (; size >= 8; p += 8, size -= 8) {
            memcpy(&word, p, 8);
            crc = __builtin_ia32_crc32di(crc, word);
        }
        for (; size; p++, size--) crc = __builtin_ia32_crc32qi((unsigned int)crc, *p);
        return ~(unsigned int)crc;
    }

    static int klife_looks_for_crc32c(void) {
        unsigned int a, b, c, d;
        return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2);
    }

    static long long klife_short_checksum(const unsigned char *start, Py_ssize_t size) {
        static int found = -1;
        if (found < 0) found = klife_looks_for_crc32c();
        return found ? klife_crc32c(start, size) : -1;
    }

    #elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

    #include <arm_acle.h>

    static long long klife_short_checksum(const unsigned char *start, Py_ssize_t size) {
        const unsigned char *p = start;
        unsigned int crc = 0xFFFFFFFF;
        unsigned long long word;
        for (; size >= 8; p += 8, size -= 8) {
            memcpy(&word, p, 8);
            crc = __crc32cd(crc, word);
        }
        for (; size; p++, size--) crc = __crc32cb(crc, *p);
        return ~crc;
    }

    #else

    static long long klife_short_checksum(const unsigned char *start, Py_ssize_t size) { return -1; }

    #endif
    """
    long long short_checksum "klife_short_checksum"(const unsigned char *start, Py_ssize_t size) noexcept
