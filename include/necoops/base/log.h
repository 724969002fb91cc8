/* Diagnostics: one line each, to a stream that the tool chose (standard error).
 *
 * Text form: `necoops-create: warning: text`; info lines have no level word, trace
 * lines that of debug. JSON form: one object
 * a line (`time`, `level`, `tool`, `message`). Control characters of a message (they may come from
 * a remote) are printed as `\x1b`, whatever the form. Secrets are removed by whoever knows them:
 * the HTTP layer redacts before it logs (see http.h). Thread-safe.
 * Where a log is NULL, nothing is written.
 */
#ifndef NECOOPS_BASE_LOG_H
#define NECOOPS_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include "necoops/base/mem.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON };

struct log; /* opaque */

/* `level` is the last one shown: -q LOG_WARNING, default LOG_INFO, -v LOG_DEBUG, -vv LOG_TRACE. */
struct log *log_new(FILE *stream, const char *tool, enum log_format format, enum log_level level);
void log_free(struct log *log);

bool log_wants(const struct log *log, enum log_level level);
void log_write(struct log *log, enum log_level level, const char *format, ...) PRINTF_LIKE(3, 4);
void log_vwrite(struct log *log, enum log_level level, const char *format, va_list args)
    PRINTF_LIKE(3, 0);

/* A state of long work, as an object of its own (`time`, `tool`, `phase`, `text`) in the JSON form;
 * nothing in the text form. For progress_relay. */
void log_state(struct log *log, const char *phase, const char *text);

/* Called before and after a line is written, so that a progress line can step aside. */
void log_set_hooks(struct log *log, void (*before)(void *), void (*after)(void *), void *arg);

#define log_error(log, ...)   log_write(log, LOG_ERROR, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_WARNING, __VA_ARGS__)
#define log_info(log, ...)    log_write(log, LOG_INFO, __VA_ARGS__)
#define log_debug(log, ...)   log_write(log, LOG_DEBUG, __VA_ARGS__)
#define log_trace(log, ...)   log_write(log, LOG_TRACE, __VA_ARGS__)

/* Copies `text` with C0, DEL, C1 controls, bidirectional overrides, U+FFFE, U+FFFF and broken UTF-8
 * made visible (`\x1b`, `\u202e`); newline and tab stay when `keep_lines`. Caller frees. */
char *text_visible(const char *text, size_t len, bool keep_lines);

#endif
