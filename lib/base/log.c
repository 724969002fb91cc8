#include "necoops/base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cjson/cJSON.h>
#include "base/internal.h"
#include "necoops/base/buf.h"
#include "necoops/base/json.h"
#include "necoops/base/timefmt.h"

struct log {
    FILE *stream;
    char *tool;
    enum log_format format;
    enum log_level level;
    pthread_mutex_t mutex;
    void (*before)(void *);
    void (*after)(void *);
    void *arg;
};

struct log *log_new(FILE *stream, const char *tool, enum log_format format, enum log_level level)
{
    struct log *log = xcalloc(1, sizeof(*log));

    log->stream = stream;
    log->tool = xstrdup(tool);
    log->format = format;
    log->level = level;
    pthread_mutex_init(&log->mutex, NULL);
    return log;
}

void log_free(struct log *log)
{
    if (log == NULL)
        return;
    pthread_mutex_destroy(&log->mutex);
    free(log->tool);
    free(log);
}

bool log_wants(const struct log *log, enum log_level level)
{
    return log != NULL && level <= log->level;
}

void log_write(struct log *log, enum log_level level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_vwrite(log, level, format, args);
    va_end(args);
}

static char *line_as_text(const struct log *log, enum log_level level, const char *message)
{
    static const char *const words[] = {"error: ", "warning: ", "", "debug: ", "debug: "};

    return xasprintf("%s: %s%s\n", log->tool, words[level], message);
}

/* A line with two texts beside time and tool. */
static char *json_line(const struct log *log, const char *first, const char *first_value,
                       const char *second, const char *second_value)
{
    autojson cJSON *object = json_object();
    autofree char *text = NULL;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_set_str(object, "time",
                 time_rfc3339_ms((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000).text);
    json_set_str(object, first, first_value);
    json_set_str(object, "tool", log->tool);
    json_set_str(object, second, second_value);
    text = json_print(object);
    return xasprintf("%s\n", text);
}

static char *line_as_json(const struct log *log, enum log_level level, const char *message)
{
    static const char *const words[] = {"error", "warning", "info", "debug", "trace"};

    return json_line(log, "level", words[level], "message", message);
}

static void put_line(struct log *log, const char *line)
{
    pthread_mutex_lock(&log->mutex);
    if (log->before != NULL)
        log->before(log->arg);
    fputs(line, log->stream);
    fflush(log->stream);
    if (log->after != NULL)
        log->after(log->arg);
    pthread_mutex_unlock(&log->mutex);
}

void log_vwrite(struct log *log, enum log_level level, const char *format, va_list args)
{
    autofree char *message = NULL;
    autofree char *visible = NULL;
    autofree char *line = NULL;

    if (!log_wants(log, level))
        return;
    message = xvasprintf(format, args);
    visible = text_visible(message, strlen(message), false);
    line = log->format == LOG_JSON ? line_as_json(log, level, visible)
                                   : line_as_text(log, level, visible);
    put_line(log, line);
}

void log_state(struct log *log, const char *phase, const char *text)
{
    autofree char *visible = NULL;
    autofree char *line = NULL;

    if (!log_wants(log, LOG_INFO) || log->format != LOG_JSON)
        return;
    visible = text_visible(text, strlen(text), false);
    line = json_line(log, "phase", phase, "text", visible);
    put_line(log, line);
}

void log_set_hooks(struct log *log, void (*before)(void *), void (*after)(void *), void *arg)
{
    pthread_mutex_lock(&log->mutex);
    log->before = before;
    log->after = after;
    log->arg = arg;
    pthread_mutex_unlock(&log->mutex);
}

/* Characters that change how the rest of a line looks, or where it ends; and the two that are none
 * and make XML unreadable. */
static bool is_deceptive(uint32_t code)
{
    return code == 0x061c || code == 0x200e || code == 0x200f || code == 0xfeff ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfffe || code == 0xffff;
}

static void add_visible(struct buf *out, const char *bytes, size_t len, uint32_t code,
                        bool keep_lines)
{
    if (code < 0x20 || code == 0x7f) {
        if (keep_lines && (code == '\n' || code == '\t'))
            buf_addc(out, (char)code);
        else
            buf_addf(out, "\\x%02x", (unsigned int)code);
    } else if ((code >= 0x80 && code < 0xa0) || is_deceptive(code)) {
        buf_addf(out, "\\u%04x", (unsigned int)code);
    } else {
        buf_add(out, bytes, len);
    }
}

char *text_visible(const char *text, size_t len, bool keep_lines)
{
    struct buf out = BUF_INIT(SIZE_MAX);

    for (size_t i = 0; i < len;) {
        uint32_t code;
        size_t used = utf8_next(text + i, len - i, &code);

        if (used == 0) {
            buf_addf(&out, "\\x%02x", (unsigned char)text[i++]);
        } else {
            add_visible(&out, text + i, used, code, keep_lines);
            i += used;
        }
    }
    return buf_steal(&out);
}
