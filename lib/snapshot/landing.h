/* Where sets are kept: beside the pointer, each in a folder of its own.
 *
 *     FOLDER/current.json                    the pointer
 *     FOLDER/sets/NAME/manifest.json         written last: without it the set is no set
 *     FOLDER/sets/NAME/snapshot.tar.zst
 *     FOLDER/sets/NAME/parts/…               of an upload under way; gone once it is whole
 *     FOLDER/sets/NAME/owner                 who is saving it: one folder of one machine
 */
#ifndef SNAPSHOT_LANDING_H
#define SNAPSHOT_LANDING_H

#include "necoops/gcs/gcs.h"

#define LANDING_MANIFEST "manifest.json"
#define LANDING_ARCHIVE  "snapshot.tar.zst"

struct landing_set {
    char *name;
    bool whole;        /* it has a manifest */
    bool has_parts;    /* … or an owner: of an upload under way, or left over */
    int64_t newest_ms; /* when the last of its objects was written, by the service's clock */
    uint64_t bytes;
    size_t first, count; /* of the objects */
};

struct landing {
    char *bucket;
    char *pointer;              /* its name */
    char *folder;               /* "" or "a/b/" */
    struct gcs_object *objects; /* of all sets, sorted by name */
    size_t object_count, object_room;
    struct landing_set *sets; /* sorted by name */
    size_t set_count, set_room;
};
void landing_clear(struct landing *landing);

/* `url`: of the pointer. ERR_USAGE when it is none (*.json). */
int landing_init(struct landing *landing, const char *url, struct err *err) MUST_CHECK;
/* Looks (again) at what is there. */
int landing_list(struct landing *landing, struct gcs *gcs, struct err *err) MUST_CHECK;

/* The name of an object of a set, and the URL of such a name; the caller frees. */
char *landing_name(const struct landing *landing, const char *set, const char *name);
char *landing_url(const struct landing *landing, const char *object);
/* The object of that (whole) name as it was when it was listed, or NULL. */
const struct gcs_object *landing_find(const struct landing *landing, const char *object);
const struct landing_set *landing_find_set(const struct landing *landing, const char *name);
/* May a set be called so? Letters, digits, '.', '_' and '-'; ERR_USAGE. */
int landing_check_name(const char *name, struct err *err) MUST_CHECK;

/* ---- who is saving ---- */

/* Tells the folder that is saved, on this machine, in this boot. Caller frees. */
char *landing_owner(int folder_fd);
/* The set that this owner was saving and that is not whole, or NULL. */
int landing_of_owner(const struct landing *landing, struct gcs *gcs, const char *owner,
                     const struct landing_set **out, struct err *err) MUST_CHECK;
/* Takes the name for the owner. ERR_CONFLICT: it is somebody else's. */
int landing_reserve(const struct landing *landing, struct gcs *gcs, const char *set,
                    const char *owner, struct err *err) MUST_CHECK;

/* ---- deleting ---- */

/* Deletes the objects of the set whose names begin with `prefix` ("": all; the manifest goes first,
 * the owner last), `lanes` at a time; `run` as in crew.h. What is there is looked at anew. */
int landing_delete(const struct landing *landing, struct run *run, struct http *http,
                   struct gcs *gcs, const char *set, const char *prefix, int lanes,
                   struct err *err) MUST_CHECK;

#endif
