#include "snapshot/bring.h"

#include <errno.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "snapshot/note.h"
#include "snapshot/rate.h"
#include "snapshot/reserve.h"
#include "snapshot/tree.h"

#define ROOM_RESERVE ((uint64_t)16 << 20) /* of the disk, that others may need */

/* What the set will need on disk: as its manifest says; else at least its own size, since packing
 * does not make things larger. Only an archive that is not packed may be full of zeros. */
static uint64_t needed_room(const struct set *set)
{
    uint64_t needed = 0;
    if (set->manifest.disk_bytes > 0)
        return set->manifest.disk_bytes;
    for (size_t i = 0; i < set->manifest.object_count; i++) {
        const struct gcs_object *object = &set->manifest.objects[i].object;
        if (!text_ends(object->name, ".tar"))
            needed += object->size;
    }
    return needed;
}

/* `present`: what is there already of a killed run. */
static int check_room(const struct bring *bring, uint64_t present, struct unpack_limits *limits,
                      struct err *err)
{
    uint64_t room = 0, needed = needed_room(bring->set);
    const struct manifest *manifest = &bring->set->manifest;
    if (place_room(bring->place, &room, err) != 0)
        return -1;
    room = (room > ROOM_RESERVE ? room - ROOM_RESERVE : 0) + present;
    if (needed > room || room == 0) {
        struct size_text want = size_format(needed), have = size_format(room);
        return err_set(err, ERR_FAILED, "no room for the snapshot beside '%s': %s free, %s needed",
                       place_path(bring->place), have.text, want.text);
    }
    bool said = manifest->disk_bytes > 0 && manifest->disk_bytes < room;
    limits->disk_bytes = said ? manifest->disk_bytes : room;
    limits->disk_is_room = !said;
    limits->apparent_bytes = manifest->unpacked_bytes;
    limits->entries = manifest->entries;
    return 0;
}

/* The disk is full although there was room, or the archive has more than could be known. */
static void explain_room(const struct bring *bring, const struct download_stats *stats,
                         struct err *err)
{
    autoerr struct err none = ERR_INIT;
    uint64_t room = 0, needed = needed_room(bring->set);
    int error = err->errnum;
    if ((error != ENOSPC && error != EDQUOT) || place_room(bring->place, &room, &none) != 0)
        return;
    struct size_text want = size_format(needed > bring->set->bytes ? needed : bring->set->bytes);
    struct size_text done = size_format(atomic_load(&stats->unpacked.disk_bytes));
    struct size_text have = size_format(room);
    autofree char *text = xstrdup(err_text(err));
    err_set(err, ERR_FAILED,
            "no room for the snapshot beside '%s': %s%s needed, %s written, %s free now: %s",
            place_path(bring->place), bring->set->manifest.disk_bytes > 0 ? "" : "at least ",
            want.text, done.text, have.text, text);
}

/* The first line of the journal: it is of use only for the same objects, cut into the same parts,
 * into the same folder, in the same boot. */
static cJSON *journal_head(const struct bring *bring, int tree_fd, struct err *err)
{
    autojson cJSON *head = json_object();
    autofree char *boot = note_boot_id();
    json_set_str(head, "is", "head");
    json_set_str(head, "set", bring->set->url);
    json_set_i64_str(head, "generation", bring->set->named.generation);
    json_set_str(head, "crc32c", crc32c_base64(bring->set->named.crc32c).text);
    json_set_i64_str(head, "partSize", (int64_t)bring->options->part_size);
    json_set_str(head, "boot", boot);
    if (!*boot || place_identify(tree_fd, head, err) != 0)
        return NULL;
    return steal(head);
}

/* Bytes of the set that need not be fetched again. */
static uint64_t bytes_of(const struct bring *bring, const struct journal_past *past)
{
    const struct manifest *manifest = &bring->set->manifest;
    uint64_t bytes = past->has_place ? past->place.mark.offset : 0;
    for (size_t i = 0; i < past->object; i++)
        bytes += manifest->objects[i].object.size;
    bytes += past->part_count * bring->options->part_size;
    return bytes < bring->set->bytes ? bytes : bring->set->bytes;
}

static bool is_of_use(const struct bring *bring, const struct journal_past *past)
{
    const struct manifest *manifest = &bring->set->manifest;
    if (past->object >= manifest->object_count)
        return false;
    if (past->has_place)
        return past->place.mark.offset < manifest->objects[past->object].object.size;
    return past->part_count > 0 || past->object > 0;
}

/* The tree and the journal of a killed run, when they are of use; what the tree has beyond what the
 * journal knows is removed. */
static struct journal *take_over(const struct bring *bring, struct journal_past *past)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    const struct run *run = http_run(bring->http);
    int tree_fd = place_old_tree(bring->place);
    if (tree_fd < 0)
        return NULL;
    autojson cJSON *head = journal_head(bring, tree_fd, &err);
    struct journal *journal = head ? journal_resume(place_work_fd(bring->place), head, past) : NULL;
    if (journal && is_of_use(bring, past) && tree_prune(tree_fd, &past->names, &err) == 0) {
        struct size_text have = size_format(bytes_of(bring, past));
        log_info(run->log, "going on where a killed run was: %s are here", have.text);
        return journal;
    }
    log_info(run->log, "starting over: %s",
             journal ? "the run that was killed had finished no part (a stream that is packed as a "
                       "whole has none, what necoops-snapshot-save packs has)"
                     : "what a killed run left is of another snapshot or start of this machine");
    journal_free(journal);
    journal_past_clear(past);
    return NULL;
}

/* Without a journal the load goes on all the same. */
static int start_over(const struct bring *bring, struct journal **journal, struct err *err)
{
    CLEANUP(err_clear) struct err none = ERR_INIT;
    int tree_fd = -1;
    if (place_new_tree(bring->place, &tree_fd, err) != 0)
        return -1;
    autojson cJSON *head = journal_head(bring, tree_fd, &none);
    *journal = head ? journal_new(place_work_fd(bring->place), head) : NULL;
    return 0;
}

static void count_on(struct download_stats *stats, const struct journal_past *past)
{
    stats->unpacked.entries = past->entries;
    stats->unpacked.files = past->files;
    stats->unpacked.apparent_bytes = past->apparent_bytes;
    atomic_store(&stats->unpacked.disk_bytes, past->disk_bytes);
    for (size_t i = 0; i < past->names.len && i < UNPACK_NAMES; i++)
        strv_add(&stats->unpacked.names, past->names.items[i]);
}

/* `past`: of a killed run that was within this object; or NULL. */
static int bring_object(const struct bring *bring, size_t number, struct journal *journal,
                        const struct journal_past *past, const struct unpack_limits *limits,
                        struct reserve *reserve, struct download_stats *stats, struct err *err)
{
    const struct manifest_object *item = &bring->set->manifest.objects[number];
    struct download download = {.http = bring->http,
                                .gcs = bring->gcs,
                                .object = &item->object,
                                .connections = bring->options->connections,
                                .part_size = bring->options->part_size,
                                .stall_ms = bring->options->stall_ms,
                                .tree_fd = place_old_tree(bring->place),
                                .limits = *limits,
                                .reserve = reserve,
                                .journal = journal,
                                .past = past};
    if (journal && !past)
        journal_object(journal, number, &stats->unpacked);
    return item->path ? download_file(&download, item->path, stats, err)
                      : download_archive(&download, stats, err);
}

static int bring_objects(const struct bring *bring, struct journal *journal,
                         const struct journal_past *past, const struct unpack_limits *limits,
                         struct reserve *reserve, struct download_stats *stats, struct err *err)
{
    for (size_t i = past->object; i < bring->set->manifest.object_count; i++) {
        bool within = i == past->object && (past->has_place || past->part_count > 0);
        if (bring_object(bring, i, journal, within ? past : NULL, limits, reserve, stats, err) != 0)
            return -1;
    }
    return 0;
}

static int bring_all(const struct bring *bring, struct journal *journal,
                     const struct journal_past *past, struct download_stats *stats, struct err *err)
{
    struct unpack_limits limits;
    struct reserve *reserve = NULL;
    count_on(stats, past);
    if (check_room(bring, past->disk_bytes, &limits, err) != 0)
        return -1;
    int result = reserve_new(place_work_fd(bring->place), needed_room(bring->set), past->disk_bytes,
                             &reserve, err);
    if (result == 0)
        result = bring_objects(bring, journal, past, &limits, reserve, stats, err);
    if (result != 0)
        explain_room(bring, stats, err);
    reserve_free(reserve);
    return result;
}

int bring_set(const struct bring *bring, struct download_stats *stats, struct err *err)
{
    struct journal_past past = {0};
    struct journal *journal = take_over(bring, &past);
    int result = journal ? 0 : start_over(bring, &journal, err);
    if (result == 0)
        result = bring_all(bring, journal, &past, stats, err);
    journal_free(journal);
    journal_past_clear(&past);
    return result;
}
