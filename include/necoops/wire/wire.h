/* What the agent on the instance (agent.h) and those who use it from elsewhere (remote.h) say to
 * each other. Two ways, neither of which needs an open port:
 *
 * Requests travel as the instance's metadata item `necoops-request`, one JSON object:
 *
 *     {"version": 1, "requests": [{
 *       "id": UUID, "instance": its numeric id, "tool": "necoops-deploy",
 *       "options": {"revision": "…", "prune": true}, "set": {"deploy.stableFor": "5s"},
 *       "env": {"CIRCLE_BUILD_URL": "…"}, "files": ["junit", "report"], "events": true,
 *       "caller": "https://ci/job/7", "time": RFC 3339, "timeoutMs": 1800000,
 *       "aliveMs": 10000, "goneMs": 300000, "beat": 3, "beatTime": RFC 3339,
 *       "cancel": "INT", "again": 1}]}
 *
 * setMetadata is guarded by a fingerprint, so several callers can add, change and remove each its
 * own member of `requests`; they are served in this order. A caller counts `beat` up at least every
 * goneMs (`beatTime` tells when, by its clock); one that stops is gone and its run is cancelled. `cancel` asks for the end by a signal,
 * `again` (counted up) for the results once more. Options, configuration keys, variables and files
 * are closed lists (wire_tool_find); anything else is refused.
 *
 * Answers are lines on the second serial port, which getSerialPortOutput reads with a cursor:
 *
 *     @necoops SESSION NUMBER CRC32C JSON
 *
 * SESSION is 16 hexadecimal digits, drawn whenever an agent starts; NUMBER counts its frames from
 * 1; CRC32C (8 hexadecimal digits) is over "SESSION NUMBER JSON"; JSON is one object in printable
 * ASCII. Each frame begins on a line of its own, whatever a foreign writer left behind. So a line
 * that is cut or mixed with another fails its checksum, a stretch that was lost leaves a gap in the
 * numbers, a second agent has another session, and what is no frame is somebody else's.
 *
 * The object's `t` says what it is; all but `hello` have the `id` of their request:
 *
 *     hello     an agent has started: boot, version
 *     queued    place (1: next), holder {tool, caller}
 *     accepted  it runs now
 *     refused   status, error
 *     alive     every aliveMs, for each request known: state (queued, running)
 *     log       level, text
 *     progress  phase, text
 *     event     number (from 0), event: one line of --events
 *     data      a piece of a result: name, at, data (base64)
 *     end       status, error (or none), events (how many), results [{name, size, crc32c, url,
 *               generation}, or {name, error}]
 */
#ifndef NECOOPS_WIRE_WIRE_H
#define NECOOPS_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "necoops/base/buf.h"
#include "necoops/base/json.h"
#include "necoops/base/strv.h"

#define WIRE_KEY  "necoops-request"
#define WIRE_PORT 2 /* the serial port, as the API counts; /dev/ttyS1 */

/* ---- frames ---- */

#define WIRE_LINE_MAX  ((size_t)32 << 10) /* of a frame; a longer line is no frame */
#define WIRE_PIECE_MAX ((size_t)8 << 10)  /* bytes of a result in one frame */
#define WIRE_TEXT_MAX  ((size_t)6 << 10)  /* of a message; a longer one is cut, which shows */

struct wire_writer {
    char session[17];
    uint64_t number; /* of the last frame */
};
void wire_writer_init(struct wire_writer *writer);
/* Adds the frame as it goes out. `object` may be anything that fits WIRE_LINE_MAX; -1: it does not,
 * and no number was used. */
int wire_frame(struct wire_writer *writer, const cJSON *object, struct buf *out) MUST_CHECK;

struct wire_reader {
    struct buf line;   /* what is not a whole line yet */
    bool skipping;     /* within a line that is too long, or whose beginning was lost */
    char session[17];  /* of the last frame; "" before */
    uint64_t number;   /* of the last frame */
    uint64_t missing;  /* frames that never came, by the gaps in their numbers */
    uint64_t damaged;  /* lines that began as a frame and fail their checksum */
    uint64_t foreign;  /* other lines that say something */
    uint64_t restarts; /* changes of the session */
};
/* `session` NULL: the first frame that comes begins. */
void wire_reader_init(struct wire_reader *reader);
void wire_reader_clear(struct wire_reader *reader);
/* What is next does not join what was before: bytes in between were lost. */
void wire_reader_gap(struct wire_reader *reader);
/* Calls `each` for every frame, in order; the object is borrowed. `each` may stop with -1. */
int wire_read(struct wire_reader *reader, const char *text, size_t len,
              int (*each)(void *arg, const struct wire_reader *reader, const cJSON *frame,
                          struct err *err),
              void *arg, struct err *err) MUST_CHECK;

/* ---- requests ---- */

#define WIRE_TEXTS_MAX    200                /* items of a list */
#define WIRE_VALUE_MAX    1024               /* bytes of a value */
#define WIRE_REQUEST_MAX  ((size_t)32 << 10) /* bytes of one request */
#define WIRE_REQUESTS_MAX 32                 /* at one time */

enum wire_type { WIRE_FLAG, WIRE_TEXT, WIRE_TEXTS, WIRE_MS, WIRE_COUNT, WIRE_COMMIT, WIRE_URL };

struct wire_option {
    const char *name; /* without dashes; "" is the operand */
    enum wire_type type;
};

struct wire_tool {
    const char *name;
    const struct wire_option *options; /* ends with a NULL name */
    const char *const *keys;           /* configuration keys it may be given; '*' matches any */
    const char *const *files; /* results beside standard output: options that name a file */
    bool events;              /* it has --events */
};

/* NULL when requests for it are not taken. */
const struct wire_tool *wire_tool_find(const char *name);
extern const char *const wire_variables[]; /* NULL-terminated */

struct wire_request {
    const struct wire_tool *tool;
    const cJSON *json;                           /* borrowed; its members are as the header says */
    const char *id, *instance, *caller, *cancel; /* cancel: "INT", "TERM" or NULL */
    int64_t time_ms, timeout_ms, alive_ms, gone_ms, beat, again;
    bool events;
};

/* Reads and checks one request, all but what only the instance can know (instance, age). ERR_USAGE
 * says what is wrong; `out->id` is set even then when it has a usable one, else NULL. */
int wire_request_parse(const cJSON *json, struct wire_request *out, struct err *err) MUST_CHECK;
/* Adds argv items for its options ("--name=value"), and the operand after "--". */
void wire_request_argv(const struct wire_request *request, struct strv *argv);

/* The item's value (NULL or "": none) as {"version", "requests": […]}; what makes no sense is as if
 * it were not there. The caller deletes it. */
cJSON *wire_requests_parse(const char *value);
/* The member of this id; NULL. Borrowed. */
cJSON *wire_requests_find(const cJSON *all, const char *id);
void wire_requests_remove(cJSON *all, const char *id);
/* Removes what should have ended an hour ago: its caller died. */
void wire_requests_prune(cJSON *all, int64_t now_ms);

#endif
