/* What the files of the Compute Engine part share. One lock covers all of its state; it is never
 * held while a machine or a listener is started or stopped (the worker does that). */
#ifndef EMULATOR_GOOGLE_COMPUTE_INTERNAL_H
#define EMULATOR_GOOGLE_COMPUTE_INTERNAL_H

#include <pthread.h>
#include "emulator/core/fault.h"
#include "emulator/core/oauth.h"
#include "emulator/google/compute.h"
#include "emulator/google/compute/filter.h"
#include "emulator/google/envelope.h"
#include "emulator/google/fields.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

#define SELF_LINK    "https://www.googleapis.com/compute/v1/"
#define SERIAL_RING  ((size_t)1 << 20)
#define SERIAL_PORTS 4

/* ---- records ---- */

/* What an instance was made with: the resource without what is its own (id, name, status, times).
 * Immutable and counted, so that a seed of many shares one; a change makes a new one. */
struct spec {
    int refs;
    cJSON *json;
};

struct serial {
    char *data; /* the last bytes, at most SERIAL_RING */
    size_t len, size;
    int64_t total; /* bytes ever written: the cursor */
};

struct guest_attribute {
    char *space, *key, *value;
    struct guest_attribute *next;
};

/* Made when an instance first runs; an instance that was seeded by count has none. */
struct inside {
    struct serial serial[SERIAL_PORTS];
    struct guest_attribute *attributes;
    int64_t served[10]; /* monotonic ms of the last guest attribute requests, a ring */
    unsigned int served_at;
    unsigned int refused;
    char *token, *token_scopes; /* handed out until five minutes before its end; NULL: none yet */
    int64_t token_ends;         /* monotonic ms */
    struct listener *metadata;  /* these two are touched by the worker only */
    struct metadata_service *service;
    uint16_t metadata_port;
};

enum instance_status {
    INSTANCE_PROVISIONING,
    INSTANCE_STAGING,
    INSTANCE_RUNNING,
    INSTANCE_STOPPING,
    INSTANCE_TERMINATED,
};

struct instance {
    uint64_t id;
    char *name;
    const char *project; /* interned */
    const char *zone;    /* interned */
    enum instance_status status;
    int64_t created, started, stopped; /* wall ms; 0: never */
    int64_t ends;                      /* wall ms of the hard end, 0: none */
    bool busy;                         /* an operation that changes its life is under way */
    bool hidden;                       /* reserved by an insert that is bound to fail unseen */
    struct spec *spec;
    struct inside *inside; /* NULL: none yet */
};

struct disk {
    uint64_t id;
    char *name;
    const char *project, *zone;
    char *type;  /* "pd-ssd" */
    char *image; /* link, or NULL */
    char *status;
    int64_t size_gb;
    int64_t created;
    uint64_t user; /* id of the instance it is attached to, 0: none */
    bool auto_delete;
    cJSON *labels; /* or NULL */
    struct disk *next;
};

enum operation_status { OPERATION_PENDING, OPERATION_RUNNING, OPERATION_DONE };

struct operation;
/* What an operation does: when it begins to run (under the lock), and when it is done. Sets
 * operation->error when it fails. */
typedef void (*operation_effect)(struct compute *compute, struct operation *operation);

struct operation {
    struct compute *compute;
    uint64_t id;
    char *name;
    const char *type;           /* "insert", "setMetadata": static */
    const char *project, *zone; /* zone NULL: global */
    char *target;               /* "projects/p/zones/z/instances/x" */
    uint64_t target_id;
    char *request_id; /* or NULL */
    char *user;
    int64_t inserted, started, ended;
    enum operation_status status;
    operation_effect begin, finish, abort; /* abort instead of finish when a fault rule fails it */
    struct fault_action fault;
    cJSON *args;  /* the request's body, for the effects */
    cJSON *error; /* {"errors":[…]}, or NULL */
    int http_status;
    const char *http_message;
    bool held;              /* waits for the worker before it is DONE */
    struct operation *next; /* newest first */
};

/* What the worker does outside the lock. */
enum job_kind { JOB_LISTEN, JOB_BOOT, JOB_STOP, JOB_RESET, JOB_ERASE };

struct job {
    enum job_kind kind;
    uint64_t instance;
    struct operation *operation; /* released when it is done; NULL: none */
    int64_t due;                 /* monotonic ms */
    struct job *next;            /* by due time */
};

struct name_list {
    char *name;
    struct name_list *next;
};

struct compute {
    struct emu *emu;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything changed: operations, metadata */
    uint64_t last_id;
    unsigned int wait_calls;

    struct name_list *names; /* interned projects and zones */
    struct strv zones;       /* names */
    struct strv known_projects;
    int64_t project_number;
    cJSON *images;           /* resources, an array */
    cJSON *machine_types;    /* more than the built-in families: {NAME: {…}} */
    cJSON *project_metadata; /* Metadata */

    struct instance **by_name; /* by project, zone, name */
    struct instance **by_id;   /* ids only grow, so appending keeps it sorted */
    size_t count, size;
    struct disk *disks;
    struct operation *operations;

    pthread_t worker;
    pthread_cond_t work;
    struct job *jobs;
    bool working, stopping;
    int64_t end_watch; /* wall ms of the timer set for hard ends, INT64_MAX: none */
};

/* A request on its way through a route: `zone` NULL for a global one; `name` is the resource. */
struct call {
    struct compute *compute;
    const struct request *request;
    struct answer *answer;
    const char *project, *zone, *name, *verb;
    char *account;
};

/* ---- small things (util.c) ---- */
int64_t wall_now(void);
int64_t mono_now(void);
uint64_t next_id(struct compute *compute);
const char *intern(struct compute *compute, const char *name);
/* "…/zones/Z/machineTypes/T" or "T" → "T" */
const char *last_segment(const char *link);
/* A fingerprint as the API has them: base64 of a short hash of the value. */
char *fingerprint_of(const cJSON *value);
void set_id(cJSON *object, const char *key, uint64_t id); /* a string */
void set_time(cJSON *object, const char *key, int64_t wall_ms);
void set_link(cJSON *object, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);
bool valid_name(const char *name);
/* A number that may be a name's other form; false when it is none. */
bool parse_id(const char *text, uint64_t *id);
int not_found(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
int invalid_value(struct answer *answer, const char *field, const char *value, const char *format,
                  ...) PRINTF_LIKE(4, 5);

/* ---- routes (compute.c) ---- */
bool zone_known(const struct compute *compute, const char *zone);
bool project_known(const struct compute *compute, const char *project);

/* ---- catalog (catalog.c, machine_types.c, images.c) ---- */
void catalog_init(struct compute *compute);
int catalog_seed(struct compute *compute, const cJSON *seed, struct err *err);
void project_get(struct call *call);
void zones_get(struct call *call);
void zones_list(struct call *call);
void regions_get(struct call *call);
void disk_types_get(struct call *call);
void disk_types_list(struct call *call);
void machine_types_get(struct call *call);
void machine_types_list(struct call *call);
void images_get(struct call *call);
void images_get_from_family(struct call *call);
void images_list(struct call *call);
bool disk_type_known(const char *name);

struct machine_type {
    char name[64];
    char family[16];
    int cpus;
    int64_t memory_mb;
    bool nested; /* nested virtualization */
    bool arm;
    const char *platform; /* CPU platform by default */
};
bool machine_type_find(const struct compute *compute, const char *name, struct machine_type *out);
/* Whether the family has this CPU platform. */
bool machine_type_has_platform(const struct machine_type *type, const char *platform);
/* The numbers of local SSDs it takes as "[0, 1, 2]"; false when `count` is none of them. */
bool machine_type_takes_ssds(const struct machine_type *type, int64_t count, struct buf *allowed);

/* The image a link names (projects/P/global/images/I, …/images/family/F, imageFamilyViews),
 * borrowed under the lock; NULL: none. */
const cJSON *image_resolve(const struct compute *compute, const char *link);
int images_seed(struct compute *compute, const cJSON *images, struct err *err);
void images_init(struct compute *compute);

/* ---- lists (lists.c) ---- */
struct page {
    struct filter *filter; /* NULL: all */
    struct fields *fields; /* NULL: all */
    int64_t max;
    char *after; /* the key after which the page begins; NULL: from the first */
};
/* -1 with the 400 filled in. `known`: the fields a filter may name. */
int page_init(struct call *call, const char *known, struct page *page);
void page_clear(struct page *page);
char *page_token(const char *key);
/* Answers with the items of `array` (taken; sorted by name) that the page holds. */
void list_answer(struct call *call, const char *kind, const char *link, const char *known,
                 cJSON *array);

/* An aggregated list: every zone stands in it, those with nothing on this page with a warning. */
cJSON *aggregated_new(const struct call *call, const char *kind, const char *noun);
void aggregated_add(cJSON *result, const char *zone, const char *noun, cJSON *item /* taken */);
void aggregated_finish(struct call *call, cJSON *result /* taken */);

/* ---- instances ---- */
/* All under the lock. */
struct instance *instance_find(const struct compute *compute, const char *project, const char *zone,
                               const char *name_or_id);
struct instance *instance_by_id(const struct compute *compute, uint64_t id);
/* As instance_find, hidden ones left out; NULL with the 404 filled in. */
struct instance *call_instance(struct call *call);
void instances_add(struct compute *compute, struct instance *instance);
void instances_append(struct compute *compute, struct instance *instance);
void instances_sort(struct compute *compute);
void instance_remove(struct compute *compute, struct instance *instance);
void instance_free(struct instance *instance);
char *instance_path(const struct instance *instance); /* "projects/p/zones/z/instances/x" */
const char *instance_status_text(enum instance_status status);
/* The value of a metadata item, borrowed, or NULL. */
const char *instance_metadata(const struct instance *instance, const char *key);
struct inside *instance_inside(struct instance *instance);
struct spec *spec_new(cJSON *json /* taken */);
void spec_unref(struct spec *spec);
/* Replaces the member `key` of the instance's spec (value taken; NULL removes). */
void instance_set(struct instance *instance, const char *key, cJSON *value);

void instances_get(struct call *call);
void instances_list(struct call *call);
void instances_aggregated(struct call *call);
void instances_insert(struct call *call);
void instances_delete(struct call *call);
void instances_stop(struct call *call);
void instances_start(struct call *call);
void instances_reset(struct call *call);
void instances_set_metadata(struct call *call);
void instances_set_labels(struct call *call);
void instances_set_tags(struct call *call);
void instances_set_scheduling(struct call *call);
/* Its hard end has come. */
void instance_expire(struct compute *compute, struct instance *instance);
void instances_test_permissions(struct call *call);
void instances_serial(struct call *call);
void instances_guest_attributes(struct call *call);
int instances_seed(struct compute *compute, const cJSON *list, struct err *err);

int check_metadata(struct answer *answer, const char *field, const cJSON *metadata);
int check_labels(struct answer *answer, const cJSON *labels);
int check_scheduling(struct answer *answer, const cJSON *scheduling);
int check_disks(struct call *call, const cJSON *body, const struct machine_type *type);
/* The attached disks as they are kept; checked before. */
cJSON *disks_json(const struct call *call, const cJSON *body);
/* The schedule's hard end for an instance started at `started`; 0: none. */
int64_t scheduling_end(const cJSON *scheduling, int64_t started);
/* With kind, fingerprint and what the service adds. */
cJSON *metadata_json(const cJSON *given);
cJSON *tags_json(const cJSON *given);
cJSON *scheduling_json(const cJSON *given);
cJSON *interfaces_json(struct compute *compute, const char *project, const char *zone,
                       const cJSON *given);

/* ---- lives (lifecycle.c, worker.c) ---- */
/* It runs from now: boot lines, hard end, metadata server, startup script. */
void life_begin_running(struct compute *compute, struct instance *instance);
void life_watch_end(struct compute *compute, struct instance *instance);
int worker_start(struct compute *compute, struct err *err);
void worker_stop(struct compute *compute);
void worker_add(struct compute *compute, enum job_kind kind, uint64_t instance,
                struct operation *operation, int64_t delay_ms);

/* ---- operations (operations.c) ---- */
struct operation_spec {
    const char *type;
    char *target; /* taken */
    uint64_t target_id;
    operation_effect begin, finish, abort;
    const cJSON *args; /* copied; or NULL */
};
/* A new operation, its timers set; the answer is the operation. Under the lock. */
struct operation *operation_start(struct call *call, const struct operation_spec *spec);
/* One that nobody asked for, as at an instance's hard end. */
struct operation *operation_of_system(struct compute *compute, const struct instance *instance,
                                      const struct operation_spec *spec);
/* True when the answer is there already: the request's requestId was seen before (its operation is
 * the answer again), or is malformed (400). */
bool operation_repeated(struct call *call, const char *type);
void operation_fail(struct operation *operation, int http_status, const char *http_message,
                    const char *code, const char *message);
/* The worker is done with it. */
void operation_release(struct operation *operation);
void operation_free(struct operation *operation);
/* What a fault rule makes of it: its error, with the details the real service gives. */
void operation_apply_fault(struct operation *operation);
void operations_get(struct call *call);
void operations_list(struct call *call);
void operations_wait(struct call *call);
void operations_delete(struct call *call);
/* ---- disks (disks.c) ---- */
struct disk *disk_find(const struct compute *compute, const char *project, const char *zone,
                       const char *name_or_id);
void disk_free(struct disk *disk);
/* Deletes (autoDelete) or frees what was attached to this instance. */
void disks_release(struct compute *compute, const struct instance *instance);
/* Makes (initializeParams, which are taken out) or takes the disks that a new instance attaches. */
void disks_attach(struct compute *compute, struct instance *instance, cJSON *disks);
void disks_get(struct call *call);
void disks_list(struct call *call);
void disks_aggregated(struct call *call);
void disks_delete(struct call *call);
void disks_insert(struct call *call);
void disks_set_labels(struct call *call);

/* ---- serial ports (serial.c) ---- */
/* What a console says when the instance boots. */
void serial_boot_lines(struct instance *instance);

/* ---- guest attributes (guest_attributes.c) ---- */
enum guest_quota { GUEST_SERVED, GUEST_DROPPED, GUEST_REFUSED };
/* Counts a request against the limits (ten a window, three at once). */
enum guest_quota guest_attributes_count(struct compute *compute, struct inside *inside);
const char *guest_attribute_get(const struct inside *inside, const char *space, const char *key);
/* -1: too large for the instance's limit. NULL removes. */
int guest_attribute_set(struct inside *inside, const char *space, const char *key,
                        const char *value);
void guest_attributes_free(struct inside *inside);
bool guest_attributes_enabled(const struct compute *compute, const struct instance *instance);

/* ---- the metadata server (metadata_server.c, metadata_tree.c) ---- */
/* Service of the per-instance listener. */
struct metadata_service {
    struct compute *compute;
    uint64_t instance;
};
void metadata_handle(void *service, const struct request *request, struct answer *answer);
/* The tree as served below /computeMetadata/v1/, kebab-case keys; under the lock. `whole`: with
 * what stands in listings but not in recursive answers (token, identity, guest-attributes). */
cJSON *metadata_tree(const struct compute *compute, const struct instance *instance, bool whole);
/* Whether it is a directory (an object, or a list of them). */
bool metadata_is_dir(const cJSON *node);
/* "name\ndir/\n"; caller frees. */
char *metadata_listing(const cJSON *dir);
/* A leaf as text; caller frees. */
char *metadata_leaf(const cJSON *leaf);
/* The same value with camelCase keys (those of attributes and accounts stay), for JSON. */
cJSON *metadata_camel(const cJSON *node);
/* "path value" lines, for recursive=true&alt=text. */
void metadata_flatten(const cJSON *node, const char *prefix, struct buf *out);

#endif
