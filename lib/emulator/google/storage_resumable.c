/* Resumable uploads: a session is opened, fed with chunks in order, asked how far it came, and
 * ends as an object. Its URI is all that is needed to go on, so its id is not guessable. */
#include "emulator/google/storage_internal.h"

#include <errno.h>
#include <inttypes.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define CHUNK         ((uint64_t)262144)
#define UNKNOWN       UINT64_MAX
#define STATUS_RESUME 308
#define STATUS_CLOSED 499 /* what the service says of a session that its client gave up */

enum session_state { SESSION_OPEN, SESSION_DONE, SESSION_CANCELLED };

struct session {
    struct session *next;
    char *id;
    char *bucket, *name;
    cJSON *metadata; /* as sent: holds the expected hashes */
    cJSON *fields;
    struct conditions conditions;
    pthread_mutex_t lock; /* one chunk at a time; taken before the storage's */
    enum session_state state;
    struct writer writer;
    uint64_t total;  /* UNKNOWN until said */
    cJSON *finished; /* the object, once done */
};

static void session_free(struct session *session)
{
    writer_abort(&session->writer);
    pthread_mutex_destroy(&session->lock);
    cJSON_Delete(session->metadata);
    cJSON_Delete(session->fields);
    cJSON_Delete(session->finished);
    free(session->id);
    free(session->bucket);
    free(session->name);
    free(session);
}

void sessions_free(struct storage *storage)
{
    while (storage->sessions != NULL) {
        struct session *session = storage->sessions;
        storage->sessions = session->next;
        session_free(session);
    }
}

/* ---- start ---- */

static char *session_id(void)
{
    unsigned char secret[48];
    random_bytes(secret, sizeof secret);
    return base64url_encode(secret, sizeof secret);
}

static int start_fields(const struct request *request, const cJSON *metadata, cJSON **out,
                        struct err *err)
{
    autojson cJSON *fields = json_object();
    const char *type = request_header(request, "X-Upload-Content-Type");
    json_set_str(fields, "contentType", type != NULL ? type : "application/octet-stream");
    json_set_str(fields, "contentEncoding", request_query(request, "contentEncoding"));
    if (object_fields_take(fields, metadata, false, err) < 0)
        return -1;
    *out = steal(fields);
    return 0;
}

static int announced_total(const struct request *request, uint64_t *out, struct err *err)
{
    const char *text = request_header(request, "X-Upload-Content-Length");
    *out = UNKNOWN;
    if (text == NULL)
        return 0;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0')
        return storage_fail(err, 400, "invalid", "Invalid X-Upload-Content-Length: '%s'", text);
    *out = value;
    return 0;
}

static int start_check(struct storage *storage, const struct target *target, const char *name,
                       const struct conditions *conditions, struct err *err)
{
    pthread_mutex_lock(&storage->lock);
    struct bucket *bucket = storage_bucket(storage, target->bucket, err);
    int result = bucket != NULL
                     ? conditions_check(conditions, bucket_find(bucket, name, NULL), false, err)
                     : -1;
    pthread_mutex_unlock(&storage->lock);
    return result;
}

static void answer_location(struct storage *storage, const struct session *session,
                            struct answer *answer)
{
    answer->status = 200;
    answer_header(answer, "Location: %s/upload/storage/v1/b/%s/o?uploadType=resumable&upload_id=%s",
                  emu_url(storage->emu), session->bucket, session->id);
    answer_header(answer, "X-GUploader-UploadID: %s", session->id);
}

int resumable_start(struct storage *storage, const struct request *request,
                    const struct target *target, struct answer *answer, struct err *err)
{
    autojson cJSON *metadata = NULL;
    autojson cJSON *fields = NULL;
    struct conditions conditions;
    uint64_t total;
    if (storage_body(request, false, &metadata, err) < 0)
        return -1;
    const char *name = request_query(request, "name");
    if (name == NULL)
        name = json_str_or(metadata, "name", "");
    if (object_name_check(name, err) < 0 ||
        conditions_parse(request, false, &conditions, err) < 0 ||
        start_fields(request, metadata, &fields, err) < 0 ||
        announced_total(request, &total, err) < 0 ||
        start_check(storage, target, name, &conditions, err) < 0)
        return -1;
    struct writer writer;
    if (writer_open(storage, &writer, err) < 0)
        return -1;
    struct session *session = xcalloc(1, sizeof *session);
    *session = (struct session){.id = session_id(),
                                .bucket = xstrdup(target->bucket),
                                .name = xstrdup(name),
                                .metadata = steal(metadata),
                                .fields = steal(fields),
                                .conditions = conditions,
                                .writer = writer,
                                .total = total};
    pthread_mutex_init(&session->lock, NULL);
    answer_location(storage, session, answer);
    pthread_mutex_lock(&storage->lock);
    session->next = storage->sessions;
    storage->sessions = session;
    pthread_mutex_unlock(&storage->lock);
    return 0;
}

/* ---- Content-Range ---- */

/* "bytes FIRST-LAST/TOTAL", each of both sides may be "*". */
struct content_range {
    bool has_bytes;
    uint64_t first, last;
    uint64_t total; /* UNKNOWN: "*" */
};

static bool number(const char **text, uint64_t *out)
{
    char *end;
    errno = 0;
    if (**text < '0' || **text > '9')
        return false;
    unsigned long long value = strtoull(*text, &end, 10);
    if (errno != 0 || value >= UNKNOWN)
        return false;
    *text = end;
    *out = value;
    return true;
}

static bool content_range_parse(const char *p, struct content_range *out)
{
    *out = (struct content_range){.total = UNKNOWN};
    if (strncmp(p, "bytes", 5) != 0)
        return false;
    p += 5;
    p += strspn(p, " ");
    if (*p == '*') {
        p++;
    } else {
        out->has_bytes = true;
        if (!number(&p, &out->first) || *p++ != '-' || !number(&p, &out->last) ||
            out->last < out->first)
            return false;
    }
    if (*p++ != '/')
        return false;
    if (strcmp(p, "*") == 0)
        return true;
    return number(&p, &out->total) && *p == '\0' && (!out->has_bytes || out->last < out->total);
}

/* ---- chunks ---- */

static int answer_incomplete(const struct request *request, const struct session *session,
                             struct answer *answer)
{
    const char *no_308 = request_header(request, "X-GUploader-No-308");
    answer->status = STATUS_RESUME;
    if (no_308 != NULL && strcmp(no_308, "yes") == 0) {
        answer->status = 200;
        answer_header(answer, "X-HTTP-Status-Code-Override: 308");
    }
    /* Nothing persisted: no Range at all. */
    if (session->writer.size > 0)
        answer_header(answer, "Range: bytes=0-%" PRIu64, session->writer.size - 1);
    answer_header(answer, "X-GUploader-UploadID: %s", session->id);
    return 0;
}

static int finish(struct storage *storage, const struct request *request, struct session *session,
                  struct answer *answer, struct err *err)
{
    struct content content;
    session->state = SESSION_CANCELLED; /* unless all goes well */
    if (writer_finish(&session->writer, &content, err) < 0)
        return -1;
    cJSON *json = NULL;
    if (hashes_check(session->metadata, request_header(request, "X-Goog-Hash"), &content, err) ==
        0) {
        pthread_mutex_lock(&storage->lock);
        struct bucket *bucket = storage_bucket(storage, session->bucket, err);
        if (bucket != NULL &&
            conditions_check(&session->conditions, bucket_find(bucket, session->name, NULL), false,
                             err) == 0)
            json = object_json(
                storage, bucket,
                bucket_put(storage, bucket, session->name, &content, steal(session->fields)));
        pthread_mutex_unlock(&storage->lock);
    }
    content_release(storage, &content);
    if (json == NULL)
        return -1;
    session->state = SESSION_DONE;
    session->finished = json;
    return storage_answer_json(request, answer, json_copy(json), err);
}

/* How many of the chunk's bytes are kept: what came before is skipped, and a chunk in the middle is
 * cut to whole blocks. */
static int chunk_take(struct session *session, const struct request *request,
                      const struct content_range *range, struct err *err)
{
    uint64_t have = session->writer.size;
    uint64_t end = range->last + 1;
    if (request->body_len != end - range->first)
        return storage_fail(err, 400, "badRequest",
                            "Invalid request.  There were %zu byte(s) in the request body.  There "
                            "should have been %" PRIu64 " byte(s) (starting at offset %" PRIu64
                            " and ending at offset %" PRIu64
                            ") according to the Content-Range header.",
                            request->body_len, end - range->first, range->first, range->last);
    if (range->first > have)
        return storage_fail(err, 400, "badRequest",
                            "Invalid request.  According to the Content-Range header, the upload "
                            "offset is %" PRIu64 " byte(s), which exceeds already uploaded size "
                            "of %" PRIu64 " byte(s).",
                            range->first, have);
    bool last = session->total != UNKNOWN && end == session->total;
    if (!last && request->body_len < CHUNK)
        return storage_fail(err, 400, "badRequest",
                            "Invalid request.  The number of bytes uploaded is required to be "
                            "equal or greater than 262144, except for the final request (it's "
                            "recommended to be the exact multiple of 262144).  The received "
                            "request contained %zu bytes, which does not meet this requirement.",
                            request->body_len);
    if (!last)
        end -= end % CHUNK;
    if (end <= have)
        return 0;
    return writer_add(&session->writer, request->body + (have - range->first), (size_t)(end - have),
                      err);
}

static int settle_total(struct session *session, const struct content_range *range, struct err *err)
{
    if (range->total == UNKNOWN)
        return 0;
    if ((session->total != UNKNOWN && session->total != range->total) ||
        range->total < session->writer.size)
        return storage_fail(err, 400, "badRequest",
                            "Invalid request.  The total object size in the Content-Range header "
                            "does not match that of the upload.");
    session->total = range->total;
    return 0;
}

static int session_put(struct storage *storage, const struct request *request,
                       struct session *session, struct answer *answer, struct err *err)
{
    const char *header = request_header(request, "Content-Range");
    struct content_range range = {.has_bytes = request->body_len > 0,
                                  .last = request->body_len - 1,
                                  .total = request->body_len};
    if (header != NULL && !content_range_parse(header, &range))
        return storage_fail(err, 400, "badRequest", "Failed to parse Content-Range header.");
    if (session->state == SESSION_DONE)
        return storage_answer_json(request, answer, json_copy(session->finished), err);
    if (session->state == SESSION_CANCELLED)
        return storage_fail(err, 410, "session", "Gone");
    if (!range.has_bytes && request->body_len > 0)
        return storage_fail(err, 400, "badRequest",
                            "Invalid request.  A status query has no body.");
    if (settle_total(session, &range, err) < 0 ||
        (range.has_bytes && chunk_take(session, request, &range, err) < 0))
        return -1;
    if (session->total != UNKNOWN && session->writer.size == session->total)
        return finish(storage, request, session, answer, err);
    return answer_incomplete(request, session, answer);
}

static int session_cancel(struct session *session, struct err *err)
{
    if (session->state == SESSION_OPEN) {
        writer_abort(&session->writer);
        session->state = SESSION_CANCELLED;
    }
    return storage_fail(err, STATUS_CLOSED, "session", "Client Closed Request");
}

/* Sessions stay until the storage ends, so what this returns may be used without the lock. */
static struct session *find_session(struct storage *storage, const char *id,
                                    const struct target *target)
{
    pthread_mutex_lock(&storage->lock);
    struct session *session = storage->sessions;
    while (session != NULL &&
           (strcmp(session->id, id) != 0 || strcmp(session->bucket, target->bucket) != 0))
        session = session->next;
    pthread_mutex_unlock(&storage->lock);
    return session;
}

int resumable_continue(struct storage *storage, const struct request *request,
                       const struct target *target, struct answer *answer, struct err *err)
{
    struct session *session = find_session(storage, request_query(request, "upload_id"), target);
    if (session == NULL)
        return storage_fail(err, 404, "session", "Not Found");
    pthread_mutex_lock(&session->lock);
    int result = -1;
    if (request_is(request, "PUT"))
        result = session_put(storage, request, session, answer, err);
    else if (request_is(request, "DELETE"))
        result = session_cancel(session, err);
    else
        storage_fail(err, 405, "session", "Method Not Allowed");
    pthread_mutex_unlock(&session->lock);
    return result;
}
