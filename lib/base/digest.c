#include "necoops/base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <openssl/evp.h>
#include "base/internal.h"
#include "necoops/base/text.h"

/* ---- CRC32C ---- */

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    const unsigned char *at = data;

    crc = ~crc; /* ISA-L leaves the inversion before and after to its caller */
    while (len > 0) {
        int part = len > INT_MAX ? INT_MAX : (int)len;

        crc = crc32_iscsi((unsigned char *)at, part, crc);
        at += part;
        len -= (size_t)part;
    }
    return ~crc;
}

/* Polynomials over GF(2) modulo Castagnoli's, bit-reflected: the highest bit is x^0. */
#define CASTAGNOLI 0x82f63b78u
#define X_TO_0     0x80000000u
#define X_TO_8     0x00800000u

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (uint32_t bit = X_TO_0; bit != 0; bit >>= 1) {
        if ((a & bit) != 0)
            product ^= b;
        b = (b & 1) != 0 ? (b >> 1) ^ CASTAGNOLI : b >> 1;
    }
    return product;
}

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    uint32_t shift = X_TO_0; /* becomes x^(8 * len_b): what len_b bytes do to the CRC before */
    uint32_t square = X_TO_8;

    for (; len_b != 0; len_b >>= 1) {
        if ((len_b & 1) != 0)
            shift = multiply(shift, square);
        square = multiply(square, square);
    }
    return multiply(shift, crc_a) ^ crc_b;
}

struct crc32c_text crc32c_base64(uint32_t crc)
{
    const unsigned char bytes[] = {(unsigned char)(crc >> 24), (unsigned char)(crc >> 16),
                                   (unsigned char)(crc >> 8), (unsigned char)crc};
    autofree char *text = base64_encode(bytes, sizeof(bytes));
    struct crc32c_text out;

    text_copy(out.text, sizeof(out.text), text);
    return out;
}

int crc32c_from_base64(const char *text, uint32_t *crc)
{
    autobuf struct buf bytes = BUF_INIT(4);
    const unsigned char *at;
    uint32_t value;

    if (base64_decode(text, strlen(text), &bytes) < 0 || bytes.len != 4)
        return -1;
    at = (const unsigned char *)bytes.data;
    value = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    /* One spelling only: the texts are compared as strings elsewhere. */
    if (strcmp(crc32c_base64(value).text, text) != 0)
        return -1;
    *crc = value;
    return 0;
}

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
    return crc64_ecma_refl(crc, data, len);
}

/* ---- SHA-256 ---- */

static struct sha256_hex to_hex(const unsigned char digest[32])
{
    autofree char *text = hex_encode(digest, 32);
    struct sha256_hex out;

    text_copy(out.text, sizeof(out.text), text);
    return out;
}

struct sha256_hex sha256(const void *data, size_t len)
{
    unsigned char digest[32];

    /* It takes memory only; nothing else of it can fail. */
    if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
        mem_exhausted();
    return to_hex(digest);
}

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

int sha256_file(const char *path, struct sha256_hex *out, struct err *err)
{
    CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    autofree char *chunk = xmalloc(BUF_SMALL);
    unsigned char digest[32];
    ssize_t got;

    if (fd < 0)
        return err_set_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED, errno,
                             "cannot open '%s'", path);
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        mem_exhausted();
    while ((got = read(fd, chunk, BUF_SMALL)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, ERR_FAILED, errno, "cannot read '%s'", path);
        if (EVP_DigestUpdate(context, chunk, (size_t)got) != 1)
            return err_set(err, ERR_FAILED, "cannot digest '%s'", path);
    }
    if (EVP_DigestFinal_ex(context, digest, NULL) != 1)
        return err_set(err, ERR_FAILED, "cannot digest '%s'", path);
    *out = to_hex(digest);
    return 0;
}

/* ---- randomness ---- */

void random_bytes(void *out, size_t len)
{
    unsigned char *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            perror("getrandom");
            abort(); /* a kernel without it: nothing safe can be done instead */
        }
        at += got;
        len -= (size_t)got;
    }
}

uint64_t random_below(uint64_t limit)
{
    uint64_t value;
    uint64_t biased; /* values below it would come up once too often */

    if (limit < 2)
        return 0;
    biased = -limit % limit;
    do
        random_bytes(&value, sizeof(value));
    while (value < biased);
    return value % limit;
}

struct uuid_text uuid_random(void)
{
    unsigned char b[16];
    struct uuid_text out;

    random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(out.text, sizeof(out.text),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return out;
}
