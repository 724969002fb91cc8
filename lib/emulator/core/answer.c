/* Answers: how handlers build them, and how they go out, whole or as a fault leaves them. */
#include "emulator/core/internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_CAP ((size_t)1 << 30)
#define BLOCK_SIZE ((size_t)64 << 10)

void answer_init(struct answer *answer)
{
    *answer = (struct answer){.body = BUF_INIT(ANSWER_CAP), .fd = -1};
}

void answer_clear(struct answer *answer)
{
    strv_clear(&answer->headers);
    buf_clear(&answer->body);
    if (answer->fd >= 0)
        close(answer->fd);
    if (answer->stream_end != NULL)
        answer->stream_end(answer->stream_arg);
    answer_init(answer);
}

void answer_header(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    strv_take(&answer->headers, xvasprintf(format, args));
    va_end(args);
}

void answer_text(struct answer *answer, int status, const char *type, const char *text)
{
    answer->status = status;
    answer_header(answer, "Content-Type: %s", type);
    buf_adds(&answer->body, text);
}

void answer_json(struct answer *answer, int status, cJSON *value)
{
    autofree char *text = json_print(value);
    cJSON_Delete(value);
    answer_text(answer, status, "application/json; charset=UTF-8", text);
}

/* What a body comes out of when libmicrohttpd cannot take it as it is: a stream, or any body that a
 * fault changes on its way. */
struct source {
    struct answer answer; /* owned */
    struct request request;
    uint64_t sent;
    uint64_t size; /* MHD_SIZE_UNKNOWN for a stream */
    struct fault_action fault;
    bool stalled;
};

static ssize_t source_read(struct source *source, uint64_t pos, char *out, size_t max)
{
    struct answer *answer = &source->answer;
    if (answer->stream != NULL)
        return answer->stream(answer->stream_arg, out, max);
    uint64_t left = source->size - pos;
    size_t len = max < left ? max : (size_t)left;
    if (answer->fd >= 0)
        return pread(answer->fd, out, len, (off_t)(answer->offset + pos));
    memcpy(out, answer->body.data + pos, len);
    return (ssize_t)len;
}

/* Silence, as long as the rule says or until nobody listens any more. */
static void hold(const struct request *request, int64_t ms)
{
    for (int64_t waited = 0; waited < ms && !request_abandoned(request); waited += 50) {
        int64_t step = ms - waited < 50 ? ms - waited : 50;
        nanosleep(&(struct timespec){.tv_nsec = (long)step * 1000000}, NULL);
    }
}

/* Limits the next read to what the fault lets through; -1 when it ends the connection here. */
static int fault_before(struct source *source, uint64_t pos, size_t *max)
{
    const struct fault_action *fault = &source->fault;
    uint64_t stop = 0;
    if (fault->kind == FAULT_TRUNCATE) {
        stop = (uint64_t)fault->number;
        if (pos >= stop)
            return -1;
    } else if (fault->kind == FAULT_STALL && !source->stalled) {
        stop = source->size == MHD_SIZE_UNKNOWN ? 1 : source->size / 2;
        if (pos >= stop) {
            source->stalled = true;
            hold(&source->request, fault->number);
            return 0;
        }
    } else {
        return 0;
    }
    if (*max > stop - pos)
        *max = (size_t)(stop - pos);
    return 0;
}

static void fault_after(const struct source *source, uint64_t pos, char *out, size_t len)
{
    uint64_t offset = (uint64_t)source->fault.number;
    if (source->fault.kind == FAULT_FLIP && offset >= pos && offset < pos + len)
        out[offset - pos] = (char)(out[offset - pos] ^ 1);
}

static ssize_t source_next(void *arg, uint64_t pos, char *out, size_t max)
{
    struct source *source = arg;
    if (fault_before(source, pos, &max) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    ssize_t len = source_read(source, pos, out, max);
    while (len == STREAM_IDLE) {
        if (request_abandoned(&source->request))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        len = source_read(source, pos, out, max);
    }
    if (len < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (len == 0)
        return source->answer.stream != NULL ? MHD_CONTENT_READER_END_OF_STREAM
                                             : MHD_CONTENT_READER_END_WITH_ERROR;
    fault_after(source, pos, out, (size_t)len);
    return len;
}

static void source_free(void *arg)
{
    struct source *source = arg;
    answer_clear(&source->answer);
    free(source);
}

static struct MHD_Response *respond_from_source(struct answer *answer,
                                                const struct exchange *exchange)
{
    struct source *source = xcalloc(1, sizeof *source);
    source->answer = *answer;
    source->request = exchange->request;
    source->fault = exchange->fault;
    source->size = answer->stream != NULL ? MHD_SIZE_UNKNOWN
                   : answer->fd >= 0      ? answer->length
                                          : answer->body.len;
    struct MHD_Response *response = MHD_create_response_from_callback(
        source->size, BLOCK_SIZE, source_next, source, source_free);
    answer_init(answer);
    return response;
}

static bool changes_body(enum fault_kind kind)
{
    return kind == FAULT_TRUNCATE || kind == FAULT_STALL || kind == FAULT_FLIP;
}

static struct MHD_Response *respond(struct answer *answer, const struct exchange *exchange)
{
    if (answer->stream != NULL || changes_body(exchange->fault.kind))
        return respond_from_source(answer, exchange);
    if (answer->fd >= 0) {
        struct MHD_Response *response =
            MHD_create_response_from_fd_at_offset64(answer->length, answer->fd, answer->offset);
        if (response != NULL)
            answer->fd = -1;
        return response;
    }
    size_t len = answer->body.len;
    return MHD_create_response_from_buffer(len, buf_steal(&answer->body), MHD_RESPMEM_MUST_FREE);
}

static void add_headers(struct MHD_Response *response, const struct strv *headers)
{
    for (size_t i = 0; i < headers->len; i++) {
        const char *line = headers->items[i];
        size_t name_len = strcspn(line, ":");
        if (line[name_len] == '\0')
            continue;
        autofree char *name = xstrndup(line, name_len);
        const char *value = line + name_len + 1;
        MHD_add_response_header(response, name, value + strspn(value, " "));
    }
}

/* The fault's header takes the place of the answer's own. */
static void fault_header(struct strv *headers, const char *line)
{
    struct strv kept = STRV_INIT;
    size_t name_len = strcspn(line, ":") + 1;
    for (size_t i = 0; i < headers->len; i++) {
        if (strncasecmp(headers->items[i], line, name_len) != 0)
            strv_add(&kept, headers->items[i]);
    }
    strv_add(&kept, line);
    strv_clear(headers);
    *headers = kept;
}

enum MHD_Result answer_send(struct answer *answer, struct exchange *exchange,
                            struct MHD_Connection *connection)
{
    if (exchange->fault.kind == FAULT_DELAY)
        hold(&exchange->request, exchange->fault.number);
    int status = answer->status;
    struct strv headers = answer->headers;
    answer->headers = (struct strv)STRV_INIT;
    if (exchange->fault.kind == FAULT_HEADER)
        fault_header(&headers, exchange->fault.header);
    struct MHD_Response *response = respond(answer, exchange);
    answer_clear(answer);
    enum MHD_Result result = MHD_NO;
    if (response != NULL) {
        add_headers(response, &headers);
        result = MHD_queue_response(connection, (unsigned int)status, response);
        MHD_destroy_response(response);
    }
    strv_clear(&headers);
    return result;
}

void connection_reset(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    /* Dissolving the association of a TCP socket sends a RST at once. */
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(info->connect_fd, &nobody, sizeof nobody);
}
