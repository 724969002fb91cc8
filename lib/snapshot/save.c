#include "snapshot/save_internal.h"

#include <string.h>
#include <unistd.h>
#include "necoops/base/digest.h"
#include "snapshot/restore.h"

#define CLEAN_UP_MS    ((int64_t)2 * 60 * 1000)
#define START_AGAIN_MS ((int64_t)10 * 60 * 1000)

void save_result_clear(struct save_result *result)
{
    free(result->set);
    free(result->manifest);
    strv_clear(&result->left_out);
    strv_clear(&result->pruned);
    *result = (struct save_result){0};
}

static void save_clear(struct save *save)
{
    upload_free(save->upload);
    scan_clear(&save->scan);
    gcs_object_clear(&save->archive);
    pointer_clear(&save->pointer);
    landing_clear(&save->landing);
    free(save->owner);
    err_clear(&save->late);
    if (save->folder_fd >= 0)
        close(save->folder_fd);
}

/* What can be known to be wrong before anything is stopped. */
static int look(struct save *save, struct err *err)
{
    const struct save_options *options = save->options;
    phases_begin(&save->phases, "look", options->to);
    if (landing_init(&save->landing, options->to, err) != 0 ||
        (options->name && landing_check_name(options->name, err) != 0) ||
        (!options->prune_only && save_open(save, err) != 0) ||
        pointer_read(&save->landing, save->gcs, &save->pointer, err) != 0 ||
        landing_list(&save->landing, save->gcs, err) != 0)
        return -1;
    phases_end(&save->phases);
    return 0;
}

static int run_commands(struct save *save, const char *name, const char *key, const cJSON *commands,
                        struct err *err)
{
    if (cJSON_GetArraySize(commands) == 0)
        return 0;
    phases_begin(&save->phases, name, key);
    if (restore_commands(save->run, commands, key, err) != 0)
        return -1;
    phases_end(&save->phases);
    return 0;
}

static int scan(struct save *save, struct err *err)
{
    struct save_result *result = save->result;
    phases_begin(&save->phases, "scan", save->options->from);
    if (scan_folder(save->folder_fd, save->options->exclude, &save->scan, err) != 0)
        return err_prefix(err, "folder '%s'", save->options->from);
    result->entries = save->scan.count;
    result->files = save->scan.files;
    result->unpacked_bytes = save->scan.apparent_bytes;
    for (size_t i = 0; i < save->scan.left_out.len; i++)
        strv_add(&result->left_out, save->scan.left_out.items[i]);
    if (result->left_out.len > 0)
        log_info(save->run->log, "%zu entries are left out, the first is '%s'",
                 result->left_out.len, result->left_out.items[0]);
    phases_end(&save->phases);
    return 0;
}

static int upload(struct save *save, struct err *err)
{
    phases_begin(&save->phases, "upload", save->result->set);
    if (save_upload(save, err) != 0)
        return -1;
    phases_end(&save->phases);
    return 0;
}

/* While what writes to the folder is stopped. */
static int pack_still(struct save *save, struct err *err)
{
    const struct save_options *options = save->options;
    int result = run_commands(save, "before", "snapshot.save.before", options->before, err);
    if (result == 0)
        result = scan(save, err) == 0 ? upload(save, err) : -1;
    /* The run may have ended by now; what was stopped is started all the same. */
    struct run before = *save->run;
    if (result != 0)
        *save->run = run_for_cleanup(save->run, START_AGAIN_MS);
    if (run_commands(save, "after", "snapshot.save.after", options->after, &save->late) != 0 &&
        result != 0)
        log_error(save->run->log, "%s", err_text(&save->late));
    *save->run = before;
    return result;
}

static int join(struct save *save, struct err *err)
{
    phases_begin(&save->phases, "join", "joining the parts");
    if (upload_compose(save->upload, &save->archive, err) != 0)
        return -1;
    save->result->generation = save->archive.generation;
    save->result->bytes = save->archive.size;
    save->result->crc32c = save->archive.crc32c;
    phases_end(&save->phases);
    return 0;
}

static int publish(struct save *save, struct err *err)
{
    phases_begin(&save->phases, "publish", "writing the manifest");
    if (save_manifest(save, err) != 0)
        return -1;
    save->result->saved = true;
    if (!save->options->no_current) {
        if (save_make_current(save, err) != 0)
            return err_prefix(err, "the set is whole at '%s', but is not current",
                              save->result->manifest);
        save->result->current = true;
    }
    phases_end(&save->phases);
    return 0;
}

/* Parts of whole sets are of no use: ours, and those of runs that were killed here. */
static void clean(struct save *save)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    struct landing *landing = &save->landing;
    const char *const leftovers[] = {"parts/", "owner"};
    struct run before = *save->run;
    phases_begin(&save->phases, "clean", "deleting the parts");
    int result = landing_list(landing, save->gcs, &err);
    for (size_t i = 0; i < landing->set_count && result == 0; i++) {
        const struct landing_set *set = &landing->sets[i];
        for (size_t n = 0; n < ARRAY_LEN(leftovers) && set->whole && set->has_parts; n++) {
            if (result == 0)
                result = landing_delete(landing, save->run, save->http, save->gcs, set->name,
                                        leftovers[n], save->options->connections, &err);
        }
    }
    if (result != 0)
        log_warning(save->run->log, "parts of the upload are left, the next save deletes them: %s",
                    err_text(&err));
    *save->run = before;
    phases_end(&save->phases);
}

static int prune_sets(struct save *save, struct err *err)
{
    const struct save_options *options = save->options;
    const struct prune_rules rules = save_rules(save);
    if (!options->prune_only && rules.keep == 0 && rules.keep_ms == 0)
        return 0;
    phases_begin(&save->phases, "prune", "deleting old sets");
    if (prune(&save->landing, save->run, save->http, save->gcs, &rules, options->connections,
              &save->result->pruned, err) != 0)
        return err_prefix(err, "cannot delete old sets");
    phases_end(&save->phases);
    return 0;
}

static int make_set(struct save *save, struct err *err)
{
    if (save_take_name(save, err) != 0 || pack_still(save, err) != 0 || join(save, err) != 0 ||
        publish(save, err) != 0)
        return -1;
    return 0;
}

/* Nothing of a set that is not whole is left, unless it cannot be helped. */
static void discard(struct save *save)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    *save->run = run_for_cleanup(save->run, CLEAN_UP_MS);
    if (save->whole) {
        clean(save);
        return;
    }
    if (landing_delete(&save->landing, save->run, save->http, save->gcs, save->result->set, "",
                       save->options->connections, &err) != 0)
        log_warning(save->run->log,
                    "what was uploaded is left at '%s', the next save goes on with it: %s",
                    save->result->set, err_text(&err));
}

static int run_save(struct save *save, struct err *err)
{
    if (look(save, err) != 0)
        return -1;
    if (save->options->prune_only)
        return prune_sets(save, err);
    if (make_set(save, err) != 0) {
        if (save->reserved)
            discard(save);
        return -1;
    }
    clean(save);
    if (prune_sets(save, err) != 0)
        return -1;
    if (save->late.code == ERR_NONE)
        return 0;
    err_move(err, &save->late);
    return err_prefix(err, "the set is saved, but");
}

static struct save save_new(struct run *run, struct http *http, struct gcs *gcs,
                            const struct save_options *options, struct save_result *result)
{
    return (struct save){
        .run = run,
        .http = http,
        .gcs = gcs,
        .options = options,
        .result = result,
        .folder_fd = -1,
        .phases = {.run = run, .list = result->phases, .count = &result->phase_count}};
}

int snapshot_save(struct run *run, struct http *http, struct gcs *gcs,
                  const struct save_options *options, struct save_result *result, struct err *err)
{
    *result = (struct save_result){0};
    CLEANUP(save_clear) struct save save = save_new(run, http, gcs, options, result);
    return run_save(&save, err);
}

/* ---- what it would do ---- */

static int plan_save(struct save *save, struct strv *lines, struct err *err)
{
    const struct save_options *options = save->options;
    const struct landing_set *left = NULL;
    if (landing_of_owner(&save->landing, save->gcs, save->owner, &left, err) != 0 ||
        scan(save, err) != 0)
        return -1;
    struct size_text all = size_format(save->scan.apparent_bytes);
    struct size_text disk = size_format(save->scan.disk_bytes);
    strv_addf(lines, "would pack %zu entries of '%s': %s, %s of them not holes", save->scan.count,
              options->from, all.text, disk.text);
    if (left && (!options->name || strcmp(options->name, left->name) == 0))
        strv_addf(lines, "would go on with the set '%s' of a killed run", left->name);
    else
        strv_addf(lines, "would make %s%s beside '%s'", options->name ? "the set " : "a new set",
                  options->name ? options->name : "", options->to);
    strv_addf(lines, options->no_current ? "'%s' would stay as it is" : "'%s' would be moved to it",
              options->to);
    return 0;
}

int save_plan(struct run *run, struct http *http, struct gcs *gcs,
              const struct save_options *options, struct strv *lines, struct err *err)
{
    struct save_result result = {0};
    autostrv struct strv old = STRV_INIT;
    CLEANUP(save_clear) struct save save = save_new(run, http, gcs, options, &result);
    int done = look(&save, err);
    if (done == 0 && !options->prune_only)
        done = plan_save(&save, lines, err);
    save_result_clear(&result);
    if (done != 0)
        return -1;
    const struct prune_rules rules = save_rules(&save);
    if (options->prune_only || rules.keep > 0 || rules.keep_ms > 0)
        prune_choose(&save.landing, &save.pointer, &rules, &old);
    for (size_t i = 0; i < old.len; i++)
        strv_addf(lines, "would delete the set '%s'", old.items[i]);
    return 0;
}

cJSON *save_result_json(const struct save_options *options, const struct save_result *result)
{
    cJSON *json = json_object();
    json_set_str(json, "to", options->to);
    json_set_bool(json, "saved", result->saved);
    if (result->saved) {
        json_set_str(json, "from", options->from);
        json_set_str(json, "set", result->set);
        json_set_str(json, "manifest", result->manifest);
        json_set_bool(json, "current", result->current);
        json_set_i64_str(json, "generation", result->generation);
        json_set_i64(json, "bytes", (int64_t)result->bytes);
        json_set_str(json, "crc32c", crc32c_base64(result->crc32c).text);
        json_set_i64(json, "sentBytes", (int64_t)result->sent);
        json_set_i64(json, "reusedBytes", (int64_t)result->reused);
        json_set_i64(json, "entries", (int64_t)result->entries);
        json_set_i64(json, "files", (int64_t)result->files);
        json_set_i64(json, "unpackedBytes", (int64_t)result->unpacked_bytes);
        json_set_i64(json, "diskBytes", (int64_t)result->disk_bytes);
        cJSON *left_out = json_set_array(json, "leftOut");
        for (size_t i = 0; i < result->left_out.len; i++)
            json_push_str(left_out, result->left_out.items[i]);
    }
    cJSON *pruned = json_set_array(json, "pruned");
    for (size_t i = 0; i < result->pruned.len; i++)
        json_push_str(pruned, result->pruned.items[i]);
    phases_json(json, result->phases, result->phase_count);
    return json;
}
