/* The bytes of objects: files that are written once and shared by copies. */
#include "emulator/google/storage_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>
#include "necoops/base/digest.h"

#define ZERO_BLOCK ((size_t)64 << 10)
#define COPY_BLOCK ((size_t)1 << 20)

int writer_open(struct storage *storage, struct writer *writer, struct err *err)
{
    pthread_mutex_lock(&storage->lock);
    uint64_t number = ++storage->blobs_made;
    pthread_mutex_unlock(&storage->lock);
    *writer = (struct writer){.path = xasprintf("%s/%016" PRIx64, storage->dir, number)};
    writer->fd = open(writer->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be made", writer->path);
        free(steal(writer->path));
        return -1;
    }
    writer->md5 = EVP_MD_CTX_new();
    if (writer->md5 == NULL || EVP_DigestInit_ex(writer->md5, EVP_md5(), NULL) != 1) {
        writer_abort(writer);
        return err_set(err, ERR_FAILED, "MD5 is not available");
    }
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool all_zero(const char *data, size_t len)
{
    return len > 0 && data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* Disk images are mostly holes: a block of zeros is skipped, not written. */
static int write_sparse(int fd, const char *data, size_t len)
{
    while (len > 0) {
        size_t block = len < ZERO_BLOCK ? len : ZERO_BLOCK;
        if (block == ZERO_BLOCK && all_zero(data, block)) {
            if (lseek(fd, (off_t)block, SEEK_CUR) < 0)
                return -1;
        } else if (write_all(fd, data, block) < 0) {
            return -1;
        }
        data += block;
        len -= block;
    }
    return 0;
}

int writer_add(struct writer *writer, const void *data, size_t len, struct err *err)
{
    if (write_sparse(writer->fd, data, len) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be written", writer->path);
    writer->crc32c = crc32c(writer->crc32c, data, len);
    EVP_DigestUpdate(writer->md5, data, len);
    writer->size += len;
    return 0;
}

/* Its checksum is known: the bytes need not be looked at again. */
int writer_append(struct writer *writer, const struct content *content, struct err *err)
{
    const struct blob *blob = content->blob;
    autoclose int fd = open(blob->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", blob->path);
    autofree char *block = xmalloc(COPY_BLOCK);
    for (ssize_t n; (n = read(fd, block, COPY_BLOCK)) != 0;) {
        if (n < 0)
            return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be read", blob->path);
        if (write_sparse(writer->fd, block, (size_t)n) < 0)
            return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be written", writer->path);
    }
    writer->crc32c = crc32c_combine(writer->crc32c, content->crc32c, blob->size);
    writer->size += blob->size;
    return 0;
}

int writer_finish(struct writer *writer, struct content *content, struct err *err)
{
    struct content made = {.crc32c = writer->crc32c, .has_md5 = true};
    unsigned int len = 0;
    EVP_DigestFinal_ex(writer->md5, made.md5, &len);
    /* A hole at the end has no bytes yet. */
    if (ftruncate(writer->fd, (off_t)writer->size) < 0) {
        err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be written", writer->path);
        writer_abort(writer);
        return -1;
    }
    made.blob = xcalloc(1, sizeof *made.blob);
    *made.blob = (struct blob){.refs = 1, .path = steal(writer->path), .size = writer->size};
    writer_abort(writer);
    *content = made;
    return 0;
}

void writer_abort(struct writer *writer)
{
    if (writer->md5 == NULL && writer->path == NULL)
        return;
    EVP_MD_CTX_free(steal(writer->md5));
    close(writer->fd);
    if (writer->path != NULL)
        unlink(writer->path);
    free(steal(writer->path));
    writer->fd = -1;
}

int content_from_bytes(struct storage *storage, const void *data, size_t len,
                       struct content *content, struct err *err)
{
    struct writer writer;
    if (writer_open(storage, &writer, err) < 0)
        return -1;
    if (writer_add(&writer, data, len, err) < 0) {
        writer_abort(&writer);
        return -1;
    }
    return writer_finish(&writer, content, err);
}

void content_release(struct storage *storage, struct content *content)
{
    pthread_mutex_lock(&storage->lock);
    blob_unref(steal(content->blob));
    pthread_mutex_unlock(&storage->lock);
}

struct blob *blob_ref(struct blob *blob)
{
    blob->refs++;
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL || --blob->refs > 0)
        return;
    unlink(blob->path);
    free(blob->path);
    free(blob);
}
