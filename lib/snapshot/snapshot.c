#include "necoops/snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "snapshot/bring.h"
#include "snapshot/gate.h"
#include "snapshot/kubeconfig.h"
#include "snapshot/note.h"
#include "snapshot/phases.h"
#include "snapshot/place.h"
#include "snapshot/rate.h"
#include "snapshot/restore.h"

struct load {
    struct http *http;
    struct gcs *gcs;
    const struct run *run;
    const struct snapshot_options *options;
    struct snapshot_result *result;
    struct set set;
    struct place *place;
    cJSON *note; /* of what is there, or will be; NULL: not known */
    struct phases phases;
    bool exchanged;
};

static void load_clear(struct load *load)
{
    set_clear(&load->set);
    place_free(load->place);
    cJSON_Delete(load->note);
}

static void count_phases(struct load *load)
{
    load->phases = (struct phases){
        .run = load->run, .list = load->result->phases, .count = &load->result->phase_count};
}

static int look(struct load *load, struct err *err)
{
    phases_begin(&load->phases, "look", "looking at the snapshot");
    if (place_find(load->run, load->options->to, &load->place, err) != 0 ||
        (!load->options->replace && place_refuse_foreign(load->place, err) != 0) ||
        set_find(load->gcs, load->http, load->options, &load->set, err) != 0)
        return -1;
    load->note = place_read_note(load->place);
    if (!note_is(load->note, load->set.url, &load->set.named)) {
        cJSON_Delete(load->note);
        load->note = NULL;
    }
    load->result->generation = load->set.named.generation;
    load->result->bytes = load->set.bytes;
    load->result->url = xstrdup(load->set.url);
    phases_end(&load->phases);
    return 0;
}

static int fetch_files(struct load *load, struct err *err)
{
    struct download_stats stats = {0};
    phases_begin(&load->phases, "download", load->set.url);
    struct bring bring = {.http = load->http,
                          .gcs = load->gcs,
                          .options = load->options,
                          .set = &load->set,
                          .place = load->place};
    int result = bring_set(&bring, &stats, err);
    load->result->received = stats.received;
    load->result->files = stats.unpacked.files;
    load->result->unpacked_bytes = stats.unpacked.apparent_bytes;
    load->result->disk_bytes = atomic_load(&stats.unpacked.disk_bytes);
    if (result == 0) {
        phases_end(&load->phases);
        load->result->downloaded = true;
        load->note = note_new(load->set.url, &load->set.named, &stats.unpacked.names);
    }
    unpack_stats_clear(&stats.unpacked);
    return result;
}

static int run_phase_commands(struct load *load, const char *name, const cJSON *commands,
                              struct err *err)
{
    if (cJSON_GetArraySize(commands) == 0)
        return 0;
    autofree char *key = xasprintf("snapshot.%s", name);
    phases_begin(&load->phases, name, key);
    if (restore_commands(load->run, commands, key, err) != 0)
        return -1;
    phases_end(&load->phases);
    return 0;
}

/* The note goes first: it names the new folder, and says nothing of the one that is there still. */
static int exchange(struct load *load, struct err *err)
{
    phases_begin(&load->phases, "exchange", "putting the files in place");
    if (place_note(load->place, place_old_tree(load->place), load->note, err) != 0 ||
        place_exchange(load->place, err) != 0)
        return -1;
    load->exchanged = true;
    if (place_remove_trees(load->place, err) != 0)
        return err_prefix(err, "cannot remove what was there before");
    phases_end(&load->phases);
    return 0;
}

static int restore(struct load *load, struct err *err)
{
    if (load->options->loader == SNAPSHOT_LOADER_NONE)
        return 0;
    phases_begin(&load->phases, "load", load->options->tag);
    note_set_loaded(load->note, NULL);
    if (place_note(load->place, -1, load->note, err) != 0 ||
        restore_vms(load->run, load->options, err) != 0)
        return -1;
    phases_end(&load->phases);
    load->result->loaded = true;
    return 0;
}

static int pass_gate(struct load *load, int64_t loaded_at, struct err *err)
{
    const struct snapshot_options *options = load->options;
    autobuf struct buf text = BUF_INIT(KUBECONFIG_MAX);
    phases_begin(&load->phases, "kubeconfig", "issuing a kubeconfig");
    if (kubeconfig_issue(load->http, load->gcs, options, &text, err) != 0)
        return -1;
    phases_end(&load->phases);
    if (text.len == 0) {
        log_warning(load->run->log, "no kubeconfig is issued (snapshot.kubeconfig.issue): whether "
                                    "the cluster is ready was not asked");
        return 0;
    }
    struct gate gate = {.http = load->http,
                        .kubeconfig = text.data,
                        .kubeconfig_len = text.len,
                        .name = options->source,
                        .nodes = options->nodes > 0 ? options->nodes : load->set.manifest.nodes,
                        .timeout_ms = options->gate_timeout_ms,
                        .max_skew_ms = options->max_clock_skew_ms,
                        .loaded_at = loaded_at};
    phases_begin(&load->phases, "gate", "waiting for the cluster");
    if (gate_wait(&gate, &load->result->nodes, err) != 0)
        return -1;
    phases_end(&load->phases);
    return 0;
}

/* By now most of it has been written out anyway; a note that says so outlives a restart. */
static int settle(struct load *load, struct err *err)
{
    autoclose int fd = open(place_path(load->place), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0)
        return err_set_errno(err, ERR_FAILED, errno, "cannot sync '%s'", place_path(load->place));
    note_set_synced(load->note);
    note_set_loaded(load->note, load->options->tag);
    return place_note(load->place, -1, load->note, err);
}

/* What follows once the files are there: in place, running, ready. */
static int use(struct load *load, bool fresh, struct err *err)
{
    if (run_phase_commands(load, "before", load->options->before, err) != 0 ||
        (fresh && exchange(load, err) != 0))
        return -1;
    int64_t loaded_at = run_wall_ms(load->run);
    if (restore(load, err) != 0 ||
        run_phase_commands(load, "after", load->options->after, err) != 0)
        return -1;
    if (!load->result->loaded)
        return 0;
    if (load->options->gate && pass_gate(load, loaded_at, err) != 0)
        return -1;
    return settle(load, err);
}

static int run_load(struct load *load, struct err *err)
{
    bool fresh = load->note == NULL;
    if (restore_check(load->run, load->options, err) != 0 || place_lock(load->place, err) != 0)
        return -1;
    int result = fresh ? fetch_files(load, err) : 0;
    if (result == 0)
        result = use(load, fresh, err);
    if (result != 0 && load->exchanged)
        err_prefix(err, "the files are in place at '%s', but", place_path(load->place));
    struct err clean_err = ERR_INIT;
    if (place_clean(load->place, &clean_err) != 0)
        log_warning(load->run->log, "%s", err_text(&clean_err));
    err_clear(&clean_err);
    return result;
}

int snapshot_load(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                  struct snapshot_result *result, struct err *err)
{
    *result = (struct snapshot_result){0};
    CLEANUP(load_clear)
    struct load load = {
        .http = http, .gcs = gcs, .run = http_run(http), .options = options, .result = result};
    count_phases(&load);
    if (look(&load, err) != 0)
        return -1;
    if (options->if_needed && load.note &&
        (options->loader == SNAPSHOT_LOADER_NONE || note_is_loaded(load.note, options->tag)))
        return 0;
    return run_load(&load, err);
}

int snapshot_plan(struct http *http, struct gcs *gcs, const struct snapshot_options *options,
                  struct strv *lines, struct err *err)
{
    struct snapshot_result result = {0};
    CLEANUP(load_clear)
    struct load load = {
        .http = http, .gcs = gcs, .run = http_run(http), .options = options, .result = &result};
    count_phases(&load);
    int looked = look(&load, err);
    snapshot_result_clear(&result);
    if (looked != 0)
        return -1;
    const char *to = place_path(load.place);
    struct size_text size = size_format(load.set.bytes);
    if (load.note)
        strv_addf(lines, "'%s' is in '%s' already: it would not be downloaded", load.set.url, to);
    else
        strv_addf(lines, "would download '%s' (generation %" PRId64 ", %s) and %s '%s'",
                  load.set.url, load.set.named.generation, size.text,
                  place_exists(load.place) ? "replace" : "make", to);
    if (options->loader == SNAPSHOT_LOADER_NONE)
        return 0;
    autofree char *command = options->load->len > 0 ? strv_join(options->load, " ")
                             : options->loader == SNAPSHOT_LOADER_QMP
                                 ? xasprintf("loadvm %s", options->tag)
                                 : xasprintf("pmctl snapshot load %s", options->tag);
    if (options->if_needed && load.note && note_is_loaded(load.note, options->tag))
        strv_addf(lines, "snapshot '%s' is loaded already: nothing would be done", options->tag);
    else
        strv_addf(lines, "would run '%s' and wait for the cluster", command);
    return 0;
}
