/* What the files of lib/base share among themselves. */
#ifndef BASE_INTERNAL_H
#define BASE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "necoops/base/err.h"

struct clock;
struct progress;

/* Ends the process: one line on standard error, then abort. */
_Noreturn void mem_exhausted(void);

/* Length of the UTF-8 sequence at `text` and its code point; 0 when it is malformed (overlong,
 * surrogate, beyond U+10FFFF, cut off). `len` must not be 0. */
size_t utf8_next(const char *text, size_t len, uint32_t *code);

/* Takes the time from `clock` instead of the system's: for tests. */
void progress_use_clock(struct progress *progress, const struct clock *clock);

/* A number of a JSON text that cJSON's double would not give back as it was written. */
struct json_long_number {
    size_t index; /* the how-manieth number of the text, from 0 */
    size_t offset;
    size_t len;
};

struct json_scan {
    const char *text;
    size_t len;
    size_t pos;
    const char *name;
    struct err *err;
    int depth;
    size_t numbers; /* seen so far */
    struct json_long_number *longs;
    size_t longs_len;
    size_t longs_size;
};

/* Checks the grammar of a whole text and collects its long numbers (the caller frees `longs`). */
int json_scan_text(struct json_scan *scan);
/* True when the whole text is one JSON number; tells whether a double prints as it was written. */
bool json_scan_number_text(const char *text, bool *fits_double);

#endif
