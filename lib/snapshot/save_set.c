/* A save's set: its name, its manifest, and the pointer to it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include "necoops/base/timefmt.h"
#include "necoops/snapshot/manifest.h"
#include "snapshot/facts.h"
#include "snapshot/save_internal.h"

#define NAMES_TRIED   10
#define POINTER_TRIES 5

int save_open(struct save *save, struct err *err)
{
    const char *from = save->options->from;
    save->folder_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (save->folder_fd < 0)
        return err_set_errno(err, errno == ENOENT || errno == ENOTDIR ? ERR_USAGE : ERR_FAILED,
                             errno, "folder '%s'", from);
    if (flock(save->folder_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return err_set(err, ERR_BUSY, "another run is saving '%s'", from);
        return err_set_errno(err, ERR_FAILED, errno, "cannot lock '%s'", from);
    }
    save->owner = landing_owner(save->folder_fd);
    return 0;
}

/* ---- the name ---- */

/* "20261123T070000Z": sorts as time goes, and needs no escaping. */
static char *name_of_now(const struct run *run)
{
    char text[32];
    struct tm tm;
    time_t now = (time_t)(run_wall_ms(run) / 1000);
    gmtime_r(&now, &tm);
    strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
    return xstrdup(text);
}

static int reserve(struct save *save, const char *name, struct err *err)
{
    if (landing_reserve(&save->landing, save->gcs, name, save->owner, err) != 0)
        return -1;
    save->result->set = xstrdup(name);
    save->reserved = true;
    return 0;
}

static int take_given_name(struct save *save, const char *name, struct err *err)
{
    if (landing_find_set(&save->landing, name))
        return err_set(err, ERR_FAILED, "there is a set '%s' already: choose another name", name);
    if (reserve(save, name, err) == 0)
        return 0;
    if (err->code == ERR_CONFLICT)
        return err_set(err, ERR_BUSY, "another run is saving a set '%s'", name);
    return -1;
}

static int take_new_name(struct save *save, struct err *err)
{
    autofree char *now = name_of_now(save->run);
    for (int i = 1;; i++) {
        autofree char *name = i == 1 ? xstrdup(now) : xasprintf("%s-%d", now, i);
        if (!landing_find_set(&save->landing, name) && reserve(save, name, err) == 0)
            return 0;
        if (i == NAMES_TRIED)
            return err->code != ERR_NONE ? -1
                                         : err_set(err, ERR_FAILED, "no name for the set is free");
        if (err->code != ERR_NONE && err->code != ERR_CONFLICT)
            return -1;
        err_clear(err);
    }
}

/* The folder is locked, so whoever began that set has ended. */
static int take_over(struct save *save, const struct landing_set *left, struct err *err)
{
    const char *name = save->options->name;
    if (name && strcmp(name, left->name) != 0) {
        log_info(save->run->log, "deleting what a killed run left of the set '%s'", left->name);
        return landing_delete(&save->landing, save->run, save->http, save->gcs, left->name, "",
                              save->options->connections, err);
    }
    struct size_text size = size_format(left->bytes);
    log_info(save->run->log, "going on with the set '%s' of a killed run: %s are there", left->name,
             size.text);
    save->result->set = xstrdup(left->name);
    save->reserved = true;
    return 0;
}

int save_take_name(struct save *save, struct err *err)
{
    const struct landing_set *left = NULL;
    const char *name = save->options->name;
    if (landing_of_owner(&save->landing, save->gcs, save->owner, &left, err) != 0 ||
        (left && take_over(save, left, err) != 0))
        return -1;
    if (save->reserved)
        return 0;
    return name ? take_given_name(save, name, err) : take_new_name(save, err);
}

/* ---- the manifest ---- */

static int add_certificates(struct save *save, struct manifest *manifest, struct err *err)
{
    int64_t end = 0;
    if (save->options->certificates->len == 0)
        return 0;
    if (facts_certificates_end(save->options->certificates, &end, err) != 0)
        return -1;
    manifest->certificates_expire = xstrdup(time_rfc3339(end).text);
    if (run_wall_ms(save->run) < end)
        return 0;
    return err_set(err, ERR_FAILED, "a certificate inside expired at %s",
                   manifest->certificates_expire);
}

static void add_facts(struct save *save, struct manifest *manifest)
{
    const struct save_options *options = save->options;
    const struct save_result *result = save->result;
    for (size_t i = 0; i < options->tags->len; i++)
        strv_add(&manifest->tags, options->tags->items[i]);
    manifest->created = xstrdup(time_rfc3339(run_wall_ms(save->run)).text);
    manifest->nodes = options->nodes;
    manifest->cpu_platform = options->cpu_platform ? options->cpu_platform(save->http) : NULL;
    manifest->qemu_version = facts_qemu_version(save->run);
    manifest->placemat_version = facts_placemat_version(save->run);
    manifest->unpacked_bytes = result->unpacked_bytes;
    manifest->disk_bytes = result->disk_bytes;
    manifest->entries = result->entries;
}

static void add_archive(struct save *save, struct manifest *manifest)
{
    const struct gcs_object *archive = &save->archive;
    manifest->objects = xcalloc(1, sizeof(*manifest->objects));
    manifest->object_count = 1;
    manifest->objects[0].object = (struct gcs_object){.bucket = xstrdup(archive->bucket),
                                                      .name = xstrdup(archive->name),
                                                      .generation = archive->generation,
                                                      .size = archive->size,
                                                      .has_crc32c = true,
                                                      .crc32c = archive->crc32c};
}

int save_manifest(struct save *save, struct err *err)
{
    automanifest struct manifest manifest = {0};
    autofree char *name = landing_name(&save->landing, save->result->set, LANDING_MANIFEST);
    autofree char *url = landing_url(&save->landing, name);
    autogcsobject struct gcs_object written = {0};
    add_facts(save, &manifest);
    add_archive(save, &manifest);
    if (add_certificates(save, &manifest, err) != 0)
        return -1;
    autojson cJSON *json = manifest_json(&manifest, url);
    autofree char *text = json_print_pretty(json);
    if (gcs_write(save->gcs, save->landing.bucket, name, "application/json", text, strlen(text), 0,
                  &written, err) != 0)
        return -1;
    save->whole = true;
    save->result->manifest = steal(url);
    if (written.updated && time_parse_rfc3339(written.updated, &save->written_ms, err) != 0)
        err_clear(err);
    return 0;
}

/* ---- the pointer ---- */

/* The sooner of two clocks: one of them may be wrong, and what is younger stays. */
static int64_t careful_now(const struct save *save)
{
    int64_t now = run_wall_ms(save->run);
    return save->written_ms > 0 && save->written_ms < now ? save->written_ms : now;
}

struct prune_rules save_rules(const struct save *save)
{
    return (struct prune_rules){.keep = save->options->keep,
                                .keep_ms = save->options->keep_ms,
                                .now_ms = careful_now(save)};
}

/* Somebody who moved it in between made his set current before us: it comes after ours. */
int save_make_current(struct save *save, struct err *err)
{
    for (int tries = 1;; tries++) {
        autojson cJSON *sets =
            pointer_with(&save->landing, &save->pointer, save->result->set, run_wall_ms(save->run));
        if (pointer_write(&save->landing, save->gcs, &save->pointer, sets, err) == 0)
            return 0;
        if (err->code != ERR_CONFLICT || tries == POINTER_TRIES)
            return -1;
        err_clear(err);
        pointer_clear(&save->pointer);
        if (pointer_read(&save->landing, save->gcs, &save->pointer, err) != 0)
            return -1;
    }
}
