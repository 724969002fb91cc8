#include "snapshot/landing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "snapshot/crew.h"
#include "snapshot/note.h"

#define SETS      "sets/"
#define OWNER     "owner"
#define PARTS     "parts/"
#define NAME_MAX_ 128

static void clear_list(struct landing *landing)
{
    for (size_t i = 0; i < landing->object_count; i++)
        gcs_object_clear(&landing->objects[i]);
    for (size_t i = 0; i < landing->set_count; i++)
        free(landing->sets[i].name);
    landing->object_count = 0;
    landing->set_count = 0;
}

void landing_clear(struct landing *landing)
{
    clear_list(landing);
    free(landing->objects);
    free(landing->sets);
    free(landing->bucket);
    free(landing->pointer);
    free(landing->folder);
    *landing = (struct landing){0};
}

int landing_init(struct landing *landing, const char *url, struct err *err)
{
    CLEANUP(landing_clear) struct landing made = {0};
    if (gcs_split_url(url, &made.bucket, &made.pointer, err) != 0)
        return -1;
    if (!text_ends(made.pointer, ".json"))
        return err_set(err, ERR_USAGE,
                       "'%s' is no pointer to sets: name one, like gs://BUCKET/current.json", url);
    const char *slash = strrchr(made.pointer, '/');
    made.folder = xstrndup(made.pointer, slash ? (size_t)(slash + 1 - made.pointer) : 0);
    *landing = made;
    made = (struct landing){0};
    return 0;
}

char *landing_name(const struct landing *landing, const char *set, const char *name)
{
    return xasprintf("%s" SETS "%s/%s", landing->folder, set, name);
}

char *landing_url(const struct landing *landing, const char *object)
{
    return xasprintf("gs://%s/%s", landing->bucket, object);
}

int landing_check_name(const char *name, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t len = strlen(name);
    if (len > 0 && len <= NAME_MAX_ && name[0] != '.' && strspn(name, allowed) == len)
        return 0;
    return err_set(err, ERR_USAGE,
                   "'%s' is no name for a set: use letters, digits, '.', '_' and '-', and no '.' "
                   "at its start",
                   name);
}

/* ---- what is there ---- */

/* The set that an object belongs to, and what it is called there; false when it is none of a set.
 */
static bool split_name(const struct landing *landing, const char *object, char **set,
                       const char **rest)
{
    const char *name = object + strlen(landing->folder) + strlen(SETS);
    const char *slash = strchr(name, '/');
    if (!slash || slash == name)
        return false;
    *set = xstrndup(name, (size_t)(slash - name));
    *rest = slash + 1;
    return true;
}

static struct landing_set *last_set(struct landing *landing, const char *name)
{
    struct landing_set *last =
        landing->set_count > 0 ? &landing->sets[landing->set_count - 1] : NULL;
    if (last && strcmp(last->name, name) == 0)
        return last;
    if (landing->set_count == landing->set_room) {
        landing->set_room = landing->set_room ? 2 * landing->set_room : 16;
        landing->sets = xrealloc(landing->sets, landing->set_room * sizeof(*landing->sets));
    }
    last = &landing->sets[landing->set_count++];
    *last = (struct landing_set){.name = xstrdup(name), .first = landing->object_count};
    return last;
}

static void count_object(struct landing_set *set, const char *rest, const struct gcs_object *object)
{
    CLEANUP(err_clear) struct err none = ERR_INIT;
    int64_t updated = INT64_MAX; /* not known: as if it were written just now */
    if (object->updated)
        (void)!time_parse_rfc3339(object->updated, &updated, &none);
    if (updated > set->newest_ms)
        set->newest_ms = updated;
    set->whole = set->whole || strcmp(rest, LANDING_MANIFEST) == 0;
    set->has_parts = set->has_parts || text_starts(rest, PARTS) || strcmp(rest, OWNER) == 0;
    set->bytes += object->size;
    set->count++;
}

static int take_object(void *arg, const struct gcs_object *object, struct err *err)
{
    struct landing *landing = arg;
    autofree char *name = NULL;
    const char *rest = NULL;
    autofree char *prefix = xasprintf("%s" SETS, landing->folder);
    const char *before =
        landing->object_count > 0 ? landing->objects[landing->object_count - 1].name : "";
    if (!text_starts(object->name, prefix) || strcmp(object->name, before) <= 0)
        return err_set(err, ERR_PROTOCOL, "the list of 'gs://%s/%s*' is out of order",
                       landing->bucket, prefix);
    if (!split_name(landing, object->name, &name, &rest))
        return 0;
    count_object(last_set(landing, name), rest, object);
    if (landing->object_count == landing->object_room) {
        landing->object_room = landing->object_room ? 2 * landing->object_room : 64;
        landing->objects =
            xrealloc(landing->objects, landing->object_room * sizeof(*landing->objects));
    }
    landing->objects[landing->object_count++] =
        (struct gcs_object){.name = xstrdup(object->name),
                            .generation = object->generation,
                            .size = object->size,
                            .has_crc32c = object->has_crc32c,
                            .crc32c = object->crc32c};
    return 0;
}

int landing_list(struct landing *landing, struct gcs *gcs, struct err *err)
{
    autofree char *prefix = xasprintf("%s" SETS, landing->folder);
    clear_list(landing);
    return gcs_list(gcs, landing->bucket, prefix, take_object, landing, err);
}

static int by_name(const void *name, const void *object)
{
    return strcmp(name, ((const struct gcs_object *)object)->name);
}

const struct gcs_object *landing_find(const struct landing *landing, const char *object)
{
    if (landing->object_count == 0)
        return NULL;
    return bsearch(object, landing->objects, landing->object_count, sizeof(*landing->objects),
                   by_name);
}

const struct landing_set *landing_find_set(const struct landing *landing, const char *name)
{
    for (size_t i = 0; i < landing->set_count; i++) {
        if (strcmp(landing->sets[i].name, name) == 0)
            return &landing->sets[i];
    }
    return NULL;
}

/* ---- who is saving ---- */

char *landing_owner(int folder_fd)
{
    struct stat st = {0};
    autofree char *boot = note_boot_id();
    (void)fstat(folder_fd, &st);
    autofree char *text = xasprintf("%s %llu %llu", boot, (unsigned long long)st.st_dev,
                                    (unsigned long long)st.st_ino);
    return xstrdup(sha256(text, strlen(text)).text);
}

static int read_owner(const struct landing *landing, struct gcs *gcs, const struct gcs_object *mark,
                      struct buf *out, struct err *err)
{
    buf_reset(out);
    return gcs_read(gcs, landing->bucket, mark->name, mark->generation, out, NULL, err);
}

int landing_of_owner(const struct landing *landing, struct gcs *gcs, const char *owner,
                     const struct landing_set **out, struct err *err)
{
    size_t len = strlen(owner);
    uint32_t crc = crc32c(0, owner, len);
    *out = NULL;
    for (size_t i = 0; i < landing->set_count; i++) {
        const struct landing_set *set = &landing->sets[i];
        autofree char *name = landing_name(landing, set->name, OWNER);
        autobuf struct buf text = BUF_INIT(BUF_SMALL);
        const struct gcs_object *mark = landing_find(landing, name);
        if (set->whole || !mark || mark->size != len || mark->crc32c != crc)
            continue;
        if (read_owner(landing, gcs, mark, &text, err) != 0)
            return -1;
        if (strcmp(text.data, owner) == 0) {
            *out = set;
            return 0;
        }
    }
    return 0;
}

int landing_reserve(const struct landing *landing, struct gcs *gcs, const char *set,
                    const char *owner, struct err *err)
{
    autofree char *name = landing_name(landing, set, OWNER);
    return gcs_write(gcs, landing->bucket, name, "text/plain", owner, strlen(owner), 0, NULL, err);
}

/* ---- deleting ---- */

struct deletion {
    struct gcs *gcs;
    const struct landing *landing;
    const struct gcs_object **objects;
    size_t count, next;
};

static enum crew_next next_deletion(void *arg, struct crew_lane *lane)
{
    struct deletion *deletion = arg;
    if (deletion->next == deletion->count)
        return CREW_END;
    const struct gcs_object *object = deletion->objects[deletion->next++];
    lane->pending = gcs_delete_start(deletion->gcs, deletion->landing->bucket, object->name,
                                     object->generation, &lane->done);
    return CREW_STARTED;
}

static int delete_objects(struct run *run, struct http *http, struct deletion *deletion, int lanes,
                          struct err *err)
{
    const struct crew crew = {.http = http,
                              .run = run,
                              .lanes = lanes,
                              .what = "objects to be deleted",
                              .go_on = true,
                              .next = next_deletion,
                              .arg = deletion};
    deletion->next = 0;
    return crew_run(&crew, err);
}

enum turn { FIRST, MIDDLE, LAST };

static enum turn turn_of(const char *rest)
{
    if (strcmp(rest, LANDING_MANIFEST) == 0)
        return FIRST;
    return strcmp(rest, OWNER) == 0 ? LAST : MIDDLE;
}

int landing_delete(const struct landing *landing, struct run *run, struct http *http,
                   struct gcs *gcs, const char *set, const char *prefix, int lanes, struct err *err)
{
    CLEANUP(landing_clear)
    struct landing now = {.bucket = xstrdup(landing->bucket), .folder = xstrdup(landing->folder)};
    autofree char *top = landing_name(landing, set, "");
    if (landing_list(&now, gcs, err) != 0)
        return -1;
    const struct landing_set *found = landing_find_set(&now, set);
    autofree char *memory = xcalloc(now.object_count + 1, sizeof(struct gcs_object *));
    struct deletion deletion = {
        .gcs = gcs, .landing = landing, .objects = (const struct gcs_object **)memory};
    for (enum turn turn = FIRST; found && turn <= LAST; turn++) {
        deletion.count = 0;
        for (size_t i = found->first; i < found->first + found->count; i++) {
            const char *rest = now.objects[i].name + strlen(top);
            if (text_starts(rest, prefix) && turn_of(rest) == turn)
                deletion.objects[deletion.count++] = &now.objects[i];
        }
        if (delete_objects(run, http, &deletion, lanes, err) != 0)
            return -1;
    }
    return 0;
}
