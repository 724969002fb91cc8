#include "necoops/base/progress.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include "base/internal.h"
#include "necoops/base/log.h"
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"

#define REDRAW_MS 1000
#define SILENT_MS 50000 /* well within a minute: ticks may be ten seconds apart */

struct progress {
    FILE *stream;
    struct log *log;
    bool terminal;
    bool enabled;
    bool relay;
    const struct clock *clock;
    pthread_mutex_t mutex; /* never held while the log is called: the log calls our hooks */
    char *phase;           /* NULL: nothing is going on */
    char *text;
    int64_t since;   /* start of the phase */
    int64_t printed; /* last line or redraw */
};

static int64_t now_ms(const struct progress *progress)
{
    return progress->clock->mono_ms(progress->clock->arg);
}

/* ---- a terminal's line ---- */

static size_t terminal_width(FILE *stream)
{
    struct winsize size;

    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* Bytes of `text` that fit into `columns`. What may be wide counts as two: a line that is cut early
 * does no harm, a line that wraps cannot be redrawn. */
static size_t fitting(const char *text, size_t columns)
{
    size_t len = strlen(text);
    size_t at = 0;
    size_t used;
    uint32_t code;

    for (; at < len; at += used) {
        size_t width;

        used = utf8_next(text + at, len - at, &code);
        width = code >= 0x1100 ? 2 : 1;
        if (used == 0 || width > columns)
            break;
        columns -= width;
    }
    return at;
}

static void clear_line(struct progress *progress)
{
    fputs("\r\033[K", progress->stream);
    fflush(progress->stream);
}

static char *elapsed(int64_t ms)
{
    if (ms < 60000)
        return xasprintf("%ds", (int)(ms / 1000));
    return xstrdup(duration_format(ms).text);
}

static void draw(struct progress *progress)
{
    autofree char *time = elapsed(now_ms(progress) - progress->since);
    autofree char *line = xasprintf("%s: %s (%s)", progress->phase, progress->text, time);
    autofree char *visible = text_visible(line, strlen(line), false);

    fprintf(progress->stream, "\r\033[K%.*s",
            (int)fitting(visible, terminal_width(progress->stream) - 1), visible);
    fflush(progress->stream);
    progress->printed = now_ms(progress);
}

static void step_aside(void *arg)
{
    struct progress *progress = arg;

    pthread_mutex_lock(&progress->mutex);
    if (progress->phase != NULL)
        clear_line(progress);
    pthread_mutex_unlock(&progress->mutex);
}

static void step_back(void *arg)
{
    struct progress *progress = arg;

    pthread_mutex_lock(&progress->mutex);
    if (progress->phase != NULL)
        draw(progress);
    pthread_mutex_unlock(&progress->mutex);
}

/* ---- lines elsewhere ---- */

static void print_line(struct progress *progress, const char *line)
{
    autofree char *visible = NULL;

    if (progress->log != NULL) {
        log_info(progress->log, "%s", line);
        return;
    }
    visible = text_visible(line, strlen(line), false);
    fprintf(progress->stream, "%s\n", visible);
    fflush(progress->stream);
}

/* ---- the interface ---- */

struct progress *progress_new(FILE *stream, struct log *log, bool terminal, bool enabled)
{
    struct progress *progress = xcalloc(1, sizeof(*progress));

    progress->stream = stream;
    progress->log = log;
    progress->terminal = terminal;
    progress->enabled = enabled;
    progress->clock = &clock_system;
    pthread_mutex_init(&progress->mutex, NULL);
    if (enabled && terminal && log != NULL)
        log_set_hooks(log, step_aside, step_back, progress);
    return progress;
}

void progress_use_clock(struct progress *progress, const struct clock *clock)
{
    progress->clock = clock;
}

void progress_free(struct progress *progress)
{
    if (progress == NULL)
        return;
    progress_done(progress);
    if (progress->enabled && progress->terminal && progress->log != NULL)
        log_set_hooks(progress->log, NULL, NULL, NULL);
    pthread_mutex_destroy(&progress->mutex);
    free(progress);
}

void progress_relay(struct progress *progress)
{
    progress->relay = true;
}

/* The phase, or a text that is due: told as a state. */
static void relay(struct progress *progress, bool is_phase)
{
    autofree char *phase = NULL;
    autofree char *text = NULL;

    pthread_mutex_lock(&progress->mutex);
    if (progress->phase != NULL &&
        (is_phase || now_ms(progress) - progress->printed >= REDRAW_MS)) {
        phase = xstrdup(progress->phase);
        text = xstrdup(progress->text);
        progress->printed = now_ms(progress);
    }
    pthread_mutex_unlock(&progress->mutex);
    if (phase != NULL)
        log_state(progress->log, phase, text);
}

/* Sets the state under the lock; the line to print afterwards, or NULL. Takes both strings. */
static char *enter(struct progress *progress, char *phase, char *text)
{
    char *line = NULL;

    pthread_mutex_lock(&progress->mutex);
    free(progress->text);
    progress->text = text;
    if (phase == NULL && progress->phase == NULL) { /* an update after the end */
        free_charp(&progress->text);
    } else if (phase != NULL) {
        free(progress->phase);
        progress->phase = phase;
        progress->since = progress->printed = now_ms(progress);
    }
    if (progress->phase != NULL && progress->terminal)
        draw(progress);
    else if (phase != NULL)
        line = xasprintf("%s: %s", phase, text);
    pthread_mutex_unlock(&progress->mutex);
    return line;
}

void progress_phase(struct progress *progress, const char *phase, const char *format, ...)
{
    autofree char *line = NULL;
    va_list args;

    if (progress == NULL || !progress->enabled)
        return;
    va_start(args, format);
    line = enter(progress, xstrdup(phase), xvasprintf(format, args));
    va_end(args);
    if (progress->relay)
        relay(progress, true);
    else if (line != NULL)
        print_line(progress, line);
}

void progress_update(struct progress *progress, const char *format, ...)
{
    va_list args;

    if (progress == NULL || !progress->enabled)
        return;
    va_start(args, format);
    enter(progress, NULL, xvasprintf(format, args));
    va_end(args);
    if (progress->relay)
        relay(progress, false);
    else
        progress_tick(progress);
}

void progress_tick(struct progress *progress)
{
    autofree char *line = NULL;
    int64_t quiet;

    if (progress == NULL || !progress->enabled || progress->relay)
        return;
    pthread_mutex_lock(&progress->mutex);
    if (progress->phase != NULL) {
        quiet = now_ms(progress) - progress->printed;
        if (progress->terminal && quiet >= REDRAW_MS) {
            draw(progress);
        } else if (!progress->terminal && quiet >= SILENT_MS) {
            autofree char *time = elapsed(now_ms(progress) - progress->since);

            line = xasprintf("still %s: %s (%s)", progress->phase, progress->text, time);
            progress->printed = now_ms(progress);
        }
    }
    pthread_mutex_unlock(&progress->mutex);
    if (line != NULL)
        print_line(progress, line);
}

void progress_done(struct progress *progress)
{
    if (progress == NULL || !progress->enabled)
        return;
    pthread_mutex_lock(&progress->mutex);
    if (progress->phase != NULL && progress->terminal)
        clear_line(progress);
    free_charp(&progress->phase);
    free_charp(&progress->text);
    pthread_mutex_unlock(&progress->mutex);
}
