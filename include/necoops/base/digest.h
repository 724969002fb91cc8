/* Checksums and randomness. CRC32C is Castagnoli (RFC 3720); as Cloud Storage writes it, it is the
 * base64 of its four bytes, big-endian. */
#ifndef NECOOPS_BASE_DIGEST_H
#define NECOOPS_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include "necoops/base/err.h"

/* Continues from `crc` (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The CRC of A followed by B from crc(A), crc(B) and the length of B. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);
struct crc32c_text {
    char text[12];
};
struct crc32c_text crc32c_base64(uint32_t crc);
/* 0, or -1 when it is no such text. */
int crc32c_from_base64(const char *text, uint32_t *crc) MUST_CHECK;

/* CRC-64/XZ (ECMA-182, reflected): tells contents apart where nobody means harm. Continues from
 * `crc`. */
uint64_t crc64(uint64_t crc, const void *data, size_t len);

struct sha256_hex {
    char text[65];
};
struct sha256_hex sha256(const void *data, size_t len);
int sha256_file(const char *path, struct sha256_hex *out, struct err *err) MUST_CHECK;

void random_bytes(void *out, size_t len); /* from the kernel; never fails */
uint64_t random_below(uint64_t limit);    /* uniform in [0, limit) */
struct uuid_text {
    char text[37];
};
struct uuid_text uuid_random(void); /* RFC 4122 version 4 */

#endif
