/* What the files of the emulated Cloud Storage share; see storage.h.
 *
 * One lock over buckets, objects and sessions. Bytes are written and read outside it: an upload
 * becomes a blob first and an object (or nothing) afterwards, under the lock.
 */
#ifndef EMULATOR_GOOGLE_STORAGE_INTERNAL_H
#define EMULATOR_GOOGLE_STORAGE_INTERNAL_H

#include <openssl/evp.h>
#include <pthread.h>
#include "emulator/google/storage.h"
#include "necoops/base/json.h"

/* ---- blobs: immutable bytes in a file, shared by copies ---- */
struct blob {
    unsigned int refs; /* under the storage's lock */
    char *path;
    uint64_t size;
};

#define MD5_LEN 16

/* What was stored, before and after it has a name. */
struct content {
    struct blob *blob; /* one reference */
    uint32_t crc32c;
    bool has_md5; /* not for composite objects */
    unsigned char md5[MD5_LEN];
    int components; /* 0: no composite object */
};

struct writer {
    int fd;
    char *path;
    uint64_t size;
    uint32_t crc32c;
    EVP_MD_CTX *md5;
};
int writer_open(struct storage *storage, struct writer *writer, struct err *err);
int writer_add(struct writer *writer, const void *data, size_t len, struct err *err);
/* All of what another one has stored; the MD5 of what is written is of no use then. */
int writer_append(struct writer *writer, const struct content *content, struct err *err);
/* The writer is empty afterwards, whatever comes back. */
int writer_finish(struct writer *writer, struct content *content, struct err *err);
void writer_abort(struct writer *writer); /* removes the file; an empty writer is fine */
int content_from_bytes(struct storage *storage, const void *data, size_t len,
                       struct content *content, struct err *err);
/* Both take the lock themselves. */
void content_release(struct storage *storage, struct content *content);
struct blob *blob_ref(struct blob *blob); /* the lock is held */
void blob_unref(struct blob *blob);       /* the lock is held; NULL is fine */

/* ---- objects and buckets ---- */
struct object {
    char *name;
    int64_t generation;
    int64_t metageneration;
    int64_t created_ms;
    int64_t updated_ms;
    struct content content;
    cJSON *fields; /* what the user sets: contentType, metadata, … */
};

struct bucket {
    char *name;
    int64_t created_ms;
    cJSON *fields;           /* location, storageClass, labels */
    struct object **objects; /* sorted by the bytes of their names */
    size_t len, size;
};

struct session; /* a resumable upload */
struct rewrite; /* a copy that takes several calls */

struct storage {
    struct emu *emu;
    char *dir;
    pthread_mutex_t lock;
    struct bucket **buckets; /* sorted */
    size_t len, size;
    int64_t last_generation;
    uint64_t blobs_made;
    uint64_t hash_headers; /* both legal forms of X-Goog-Hash are sent in turn */
    struct session *sessions;
    struct rewrite *rewrites;
};

/* The lock is held for all of these; what they return is the storage's. */
struct bucket *storage_bucket(struct storage *storage, const char *name, struct err *err);
struct bucket *storage_make_bucket(struct storage *storage, const char *name, cJSON *fields);
/* The object of that name, or NULL; `at` (optional) is its place, or where it would go. */
struct object *bucket_find(const struct bucket *bucket, const char *name, size_t *at);
/* The object of that name and, unless 0, generation; 404 as the service words it. */
struct object *bucket_object(const struct bucket *bucket, const char *name, int64_t generation,
                             struct err *err);
/* Creates or replaces; takes over `content` and `fields`. */
struct object *bucket_put(struct storage *storage, struct bucket *bucket, const char *name,
                          struct content *content, cJSON *fields);
void bucket_remove(struct bucket *bucket, struct object *object);
int64_t storage_now_ms(void);

cJSON *object_json(struct storage *storage, const struct bucket *bucket,
                   const struct object *object);
cJSON *bucket_json(struct storage *storage, const struct bucket *bucket);
char *object_etag(const struct object *object); /* caller frees */
/* Copies from `given` what a user may set; with `patch`, null removes. 400 on a wrong type. */
int object_fields_take(cJSON *fields, const cJSON *given, bool patch, struct err *err);
int object_name_check(const char *name, struct err *err);

/* ---- preconditions ---- */
struct conditions {
    bool has_generation, has_not_generation, has_metageneration, has_not_metageneration;
    int64_t generation, not_generation, metageneration, not_metageneration;
};
/* From the query's ifGenerationMatch, …; `source`: ifSourceGenerationMatch, …. */
int conditions_parse(const struct request *request, bool source, struct conditions *out,
                     struct err *err);
/* `object` NULL: there is none. Reading: a failed …NotMatch is 304, else all failures are 412. */
int conditions_check(const struct conditions *conditions, const struct object *object, bool reading,
                     struct err *err);
/* A query parameter that is an int64; 0 when absent. */
int query_i64(const struct request *request, const char *name, int64_t *out, struct err *err);

/* ---- answers and requests ---- */
/* Fills the error with what becomes the answer; returns -1. */
int storage_fail(struct err *err, int status, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
void storage_answer_error(const struct request *request, struct answer *answer,
                          const struct err *err);
/* Takes `value`; applies the request's `fields`. */
int storage_answer_json(const struct request *request, struct answer *answer, cJSON *value,
                        struct err *err);
/* The request's JSON body (an object); an empty body gives {} unless `needed`. */
int storage_body(const struct request *request, bool needed, cJSON **out, struct err *err);
/* True when the header's comma-separated list has this token (with any parameters but q=0). */
bool header_has_token(const char *value, const char *token);

/* The expected hashes of an upload, from its metadata and X-Goog-Hash. */
int hashes_check(const cJSON *metadata, const char *header, const struct content *content,
                 struct err *err);

/* ---- calls: 0 with the answer filled in, or -1 with an error made by storage_fail ---- */
struct target {
    const char *bucket;
    const char *object; /* or NULL */
};
typedef int (*storage_call)(struct storage *storage, const struct request *request,
                            const struct target *target, struct answer *answer, struct err *err);
int object_get(struct storage *, const struct request *, const struct target *, struct answer *,
               struct err *);
int object_media(struct storage *, const struct request *, const struct target *, struct answer *,
                 struct err *);
int object_list(struct storage *, const struct request *, const struct target *, struct answer *,
                struct err *);
int object_upload(struct storage *, const struct request *, const struct target *, struct answer *,
                  struct err *);
int object_patch(struct storage *, const struct request *, const struct target *, struct answer *,
                 struct err *);
int object_delete(struct storage *, const struct request *, const struct target *, struct answer *,
                  struct err *);
int object_compose(struct storage *, const struct request *, const struct target *, struct answer *,
                   struct err *);
enum copy_kind { COPY_WHOLE, COPY_REWRITE, COPY_MOVE };
int object_copy(struct storage *, const struct request *, enum copy_kind kind,
                const struct target *source, const struct target *destination, struct answer *,
                struct err *);
int resumable_start(struct storage *, const struct request *, const struct target *,
                    struct answer *, struct err *);
int resumable_continue(struct storage *, const struct request *, const struct target *,
                       struct answer *, struct err *);
void sessions_free(struct storage *storage);
void rewrites_free(struct storage *storage);

#endif
