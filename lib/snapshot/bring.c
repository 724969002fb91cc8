#include "snapshot/bring.h"

#include "necoops/base/digest.h"
#include "necoops/base/text.h"
#include "snapshot/note.h"
#include "snapshot/rate.h"
#include "snapshot/tree.h"

#define ROOM_RESERVE ((uint64_t)16 << 20) /* of the disk, that others may need */

/* An archive unpacks to at least its own size, but for a few zeros; a file to at most its size. */
static int check_room(const struct bring *bring, uint64_t present, uint64_t *room, struct err *err)
{
    const struct gcs_object *object = bring->object;
    if (place_room(bring->place, room, err) != 0)
        return -1;
    *room = (*room > ROOM_RESERVE ? *room - ROOM_RESERVE : 0) + present;
    bool plain_tar = text_ends(object->name, ".tar");
    if ((object->size <= *room || plain_tar) && *room > 0)
        return 0;
    struct size_text needed = size_format(object->size), there = size_format(*room);
    return err_set(err, ERR_FAILED, "no room for the snapshot beside '%s': %s free, %s needed",
                   place_path(bring->place), there.text, needed.text);
}

/* The first line of the journal: it is of use only for the same object, cut into the same parts,
 * into the same folder, in the same boot. */
static cJSON *journal_head(const struct bring *bring, int tree_fd, struct err *err)
{
    autojson cJSON *head = json_object();
    autofree char *boot = note_boot_id();
    struct crc32c_text crc = crc32c_base64(bring->object->crc32c);
    json_set_str(head, "is", "head");
    json_set_str(head, "bucket", bring->object->bucket);
    json_set_str(head, "name", bring->object->name);
    json_set_i64_str(head, "generation", bring->object->generation);
    json_set_str(head, "crc32c", crc.text);
    json_set_i64_str(head, "size", (int64_t)bring->object->size);
    json_set_i64_str(head, "partSize", (int64_t)bring->options->part_size);
    json_set_str(head, "boot", boot);
    if (!*boot || place_identify(tree_fd, head, err) != 0)
        return NULL;
    return steal(head);
}

static uint64_t bytes_of(const struct bring *bring, const struct journal_past *past)
{
    uint64_t bytes = past->has_place ? past->place.mark.offset : 0;
    for (size_t i = 0; i < past->part_count; i++)
        bytes += bring->options->part_size;
    return bytes < bring->object->size ? bytes : bring->object->size;
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
    bool archive = download_is_archive(bring->object->name);
    bool fits = archive ? past->has_place && past->place.mark.offset < bring->object->size
                        : past->part_count > 0;
    if (journal && fits && (!archive || tree_prune(tree_fd, &past->names, &err) == 0)) {
        struct size_text have = size_format(bytes_of(bring, past));
        log_info(run->log, "going on where a killed run was: %s are here", have.text);
        return journal;
    }
    log_info(run->log, "what a killed run left cannot be gone on with: starting over");
    journal_free(journal);
    journal_past_clear(past);
    return NULL;
}

static int start_over(const struct bring *bring, struct journal **journal, struct err *err)
{
    int tree_fd = -1;
    if (place_new_tree(bring->place, &tree_fd, err) != 0)
        return -1;
    autojson cJSON *head = journal_head(bring, tree_fd, err);
    *journal = head ? journal_new(place_work_fd(bring->place), head) : NULL;
    err_clear(err);
    return 0;
}

static int download(const struct bring *bring, struct journal *journal,
                    const struct journal_past *past, struct download_stats *stats, struct err *err)
{
    struct download download = {.http = bring->http,
                                .gcs = bring->gcs,
                                .object = bring->object,
                                .connections = bring->options->connections,
                                .part_size = bring->options->part_size,
                                .tree_fd = place_old_tree(bring->place),
                                .journal = journal,
                                .past = past};
    uint64_t present = past ? past->disk_bytes : 0;
    if (check_room(bring, present, &download.limits.disk_bytes, err) != 0)
        return -1;
    return download_is_archive(bring->object->name) ? download_archive(&download, stats, err)
                                                    : download_file(&download, stats, err);
}

int bring_object(const struct bring *bring, struct download_stats *stats, struct err *err)
{
    struct journal_past past = {0};
    struct journal *journal = take_over(bring, &past);
    bool resumed = journal != NULL;
    int result = resumed ? 0 : start_over(bring, &journal, err);
    if (result == 0)
        result = download(bring, journal, resumed ? &past : NULL, stats, err);
    journal_free(journal);
    journal_past_clear(&past);
    return result;
}
