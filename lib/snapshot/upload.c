#include "snapshot/upload.h"

#include <inttypes.h>
#include <stdlib.h>
#include "necoops/base/digest.h"
#include "snapshot/crew.h"

#define CONTENT_TYPE "application/zstd"

/* An object that is part of the whole. */
struct piece {
    char *name; /* whole, in the bucket */
    uint64_t size;
    uint32_t crc;
    uint64_t id;        /* tells its content, with size and CRC32C */
    int64_t generation; /* 0: not stored yet */
};

struct pieces {
    struct piece *items;
    size_t count, room;
};

struct upload {
    struct upload_spec spec;
    struct pieces pieces;
    /* while parts are stored */
    struct parts *parts;
    struct part **part_of; /* by piece: what is under way; the room is that of the pieces */
    struct upload_stats *stats;
    /* while pieces are composed */
    struct pieces next;
    size_t begun;
    struct gcs_object *whole;
};

static void pieces_clear(struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->count; i++)
        free(pieces->items[i].name);
    free(pieces->items);
    *pieces = (struct pieces){0};
}

static size_t add_piece(struct pieces *pieces, struct piece piece)
{
    if (pieces->count == pieces->room) {
        pieces->room = pieces->room ? 2 * pieces->room : 64;
        pieces->items = xrealloc(pieces->items, pieces->room * sizeof(*pieces->items));
    }
    pieces->items[pieces->count] = piece;
    return pieces->count++;
}

struct upload *upload_new(const struct upload_spec *spec)
{
    struct upload *upload = xcalloc(1, sizeof(*upload));
    upload->spec = *spec;
    return upload;
}

void upload_free(struct upload *upload)
{
    if (!upload)
        return;
    pieces_clear(&upload->pieces);
    pieces_clear(&upload->next);
    free(upload->part_of);
    free(upload);
}

/* Is it stored already, by a run that was killed? */
static bool is_stored(const struct upload *upload, struct piece *piece)
{
    const struct gcs_object *object = landing_find(upload->spec.landing, piece->name);
    if (!object || object->size != piece->size || !object->has_crc32c ||
        object->crc32c != piece->crc)
        return false;
    piece->generation = object->generation;
    return true;
}

static struct gcs_wanted wanted(const struct upload *upload, const struct piece *piece,
                                const char *content_type)
{
    return (struct gcs_wanted){.bucket = upload->spec.landing->bucket,
                               .name = piece->name,
                               .content_type = content_type,
                               .size = piece->size,
                               .crc = piece->crc};
}

/* ---- parts ---- */

static void remember_part(struct upload *upload, size_t index, struct part *part)
{
    upload->part_of = xrealloc(upload->part_of, upload->pieces.room * sizeof(*upload->part_of));
    upload->part_of[index] = part;
}

/* Items of lanes are indices: the list may move. */
static enum crew_next next_part(void *arg, struct crew_lane *lane)
{
    struct upload *upload = arg;
    struct part *part;
    while ((part = parts_take(upload->parts))) {
        autofree char *name = xasprintf("parts/%07zu-%016" PRIx64, part->index, part->id);
        struct piece piece = {.name = landing_name(upload->spec.landing, upload->spec.set, name),
                              .size = part->len,
                              .crc = part->crc,
                              .id = part->id};
        bool stored = is_stored(upload, &piece);
        size_t index = add_piece(&upload->pieces, piece);
        if (!stored) {
            remember_part(upload, index, part);
            const struct gcs_wanted want = wanted(upload, &piece, "application/octet-stream");
            lane->item = (void *)(uintptr_t)index;
            lane->pending = gcs_put_start(upload->spec.gcs, &want, part->data, &lane->done);
            return CREW_STARTED;
        }
        upload->stats->reused += part->len;
        parts_give_back(upload->parts, part);
    }
    return parts_ended(upload->parts) ? CREW_END : CREW_LATER;
}

static void part_stored(void *arg, void *item, struct gcs_object *object)
{
    struct upload *upload = arg;
    size_t index = (size_t)(uintptr_t)item;
    upload->pieces.items[index].generation = object->generation;
    upload->stats->sent += upload->part_of[index]->len;
    parts_give_back(upload->parts, upload->part_of[index]);
}

static void show(void *arg)
{
    const struct upload *upload = arg;
    if (upload->spec.show)
        upload->spec.show(upload->spec.arg);
}

int upload_parts(struct upload *upload, struct parts *parts, struct flow *flow,
                 struct upload_stats *stats, struct err *err)
{
    const struct crew crew = {.http = upload->spec.http,
                              .run = upload->spec.run,
                              .flow = flow,
                              .lanes = upload->spec.connections,
                              .what = "the upload",
                              .next = next_part,
                              .ended = part_stored,
                              .show = show,
                              .arg = upload};
    upload->parts = parts;
    upload->stats = stats;
    return crew_run(&crew, err);
}

/* ---- composing ---- */

/* Pieces [first, first + count) as one. */
static struct piece joined(const struct pieces *pieces, size_t first, size_t count)
{
    struct piece whole = {0};
    for (size_t i = first; i < first + count; i++) {
        const struct piece *piece = &pieces->items[i];
        whole.crc = crc32c_combine(whole.crc, piece->crc, piece->size);
        whole.id = crc64(whole.id, &piece->id, sizeof(piece->id));
        whole.size += piece->size;
    }
    return whole;
}

static size_t group_size(const struct upload *upload, size_t first)
{
    size_t left = upload->pieces.count - first;
    return left < GCS_COMPOSE_MAX ? left : GCS_COMPOSE_MAX;
}

static void start_compose(struct upload *upload, const struct piece *piece, size_t first,
                          const char *content_type, struct crew_lane *lane)
{
    struct gcs_source sources[GCS_COMPOSE_MAX];
    size_t count = group_size(upload, first);
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct gcs_source){.name = upload->pieces.items[first + i].name,
                                         .generation = upload->pieces.items[first + i].generation};
    const struct gcs_wanted want = wanted(upload, piece, content_type);
    lane->pending = gcs_compose_start(upload->spec.gcs, &want, sources, count, &lane->done);
}

static enum crew_next next_group(void *arg, struct crew_lane *lane)
{
    struct upload *upload = arg;
    while (upload->begun < upload->pieces.count) {
        size_t first = upload->begun;
        struct piece piece = joined(&upload->pieces, first, group_size(upload, first));
        autofree char *name = xasprintf("parts/joined-%016" PRIx64, piece.id);
        piece.name = landing_name(upload->spec.landing, upload->spec.set, name);
        upload->begun += group_size(upload, first);
        bool stored = is_stored(upload, &piece);
        lane->item = (void *)(uintptr_t)add_piece(&upload->next, piece);
        if (!stored) {
            start_compose(upload, &piece, first, "application/octet-stream", lane);
            return CREW_STARTED;
        }
    }
    return CREW_END;
}

static void group_stored(void *arg, void *item, struct gcs_object *object)
{
    struct upload *upload = arg;
    upload->next.items[(size_t)(uintptr_t)item].generation = object->generation;
}

/* Fewer and larger pieces. */
static int compose_level(struct upload *upload, struct err *err)
{
    const struct crew crew = {.http = upload->spec.http,
                              .run = upload->spec.run,
                              .lanes = upload->spec.connections,
                              .what = "the parts to be joined",
                              .next = next_group,
                              .ended = group_stored,
                              .arg = upload};
    upload->begun = 0;
    if (crew_run(&crew, err) != 0)
        return -1;
    pieces_clear(&upload->pieces);
    upload->pieces = upload->next;
    upload->next = (struct pieces){0};
    return 0;
}

static enum crew_next next_whole(void *arg, struct crew_lane *lane)
{
    struct upload *upload = arg;
    if (upload->begun > 0)
        return CREW_END;
    upload->begun = upload->pieces.count;
    struct piece piece = joined(&upload->pieces, 0, upload->pieces.count);
    autofree char *name = landing_name(upload->spec.landing, upload->spec.set, upload->spec.name);
    piece.name = name;
    start_compose(upload, &piece, 0, CONTENT_TYPE, lane);
    return CREW_STARTED;
}

static void whole_stored(void *arg, void *item, struct gcs_object *object)
{
    struct upload *upload = arg;
    (void)item;
    *upload->whole = *object;
    *object = (struct gcs_object){0};
}

int upload_compose(struct upload *upload, struct gcs_object *out, struct err *err)
{
    while (upload->pieces.count > GCS_COMPOSE_MAX) {
        if (compose_level(upload, err) != 0)
            return -1;
    }
    const struct crew crew = {.http = upload->spec.http,
                              .run = upload->spec.run,
                              .lanes = 1,
                              .what = "the parts to be joined",
                              .next = next_whole,
                              .ended = whole_stored,
                              .arg = upload};
    upload->begun = 0;
    upload->whole = out;
    return crew_run(&crew, err);
}
