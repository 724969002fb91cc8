/* Wires the parts of one emulator together; see emulator.h. */
#include "emulator/core/emulator.h"

#include <stdatomic.h>
#include <stdlib.h>
#include "emulator/core/oauth.h"
#include "emulator/google/compute.h"
#include "emulator/google/envelope.h"
#include "emulator/google/secrets.h"
#include "emulator/google/storage.h"
#include "emulator/kube/cluster.h"
#include "emulator/machine/machine.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "necoops/yaml/yaml.h"

#define GOOGLE_BODY_CAP ((size_t)64 << 30)

struct emu {
    struct emu_config config;
    struct server *server;
    struct listener *google;
    char *url;
    char *data_dir;
    bool data_is_temporary;
    char *credentials;
    char *project;
    struct strv mirrors; /* URL without ".git" and "/", folder, … */
    cJSON *seed;
    atomic_bool ready; /* the parts are there */
    struct oauth *oauth;
    struct compute *compute;
    struct storage *storage;
    struct machines *machines;
    struct clusters *clusters;
};

/* ---- timing ---- */

struct emu_timing emu_timing_default(void)
{
    return (struct emu_timing){.operation_pending = 50,
                               .operation_running = 150,
                               .boot = 100,
                               .cluster_boot = 300,
                               .reconcile = 50,
                               .rollout = 300,
                               .operation_wait = 120000,
                               .guest_attributes_window = 60000};
}

int emu_timing_set(struct emu_timing *timing, const char *text, struct err *err)
{
    const struct {
        const char *name;
        int64_t *value;
    } rows[] = {
        {"operation-pending", &timing->operation_pending},
        {"operation-running", &timing->operation_running},
        {"boot", &timing->boot},
        {"cluster-boot", &timing->cluster_boot},
        {"reconcile", &timing->reconcile},
        {"rollout", &timing->rollout},
        {"operation-wait", &timing->operation_wait},
        {"poll", &timing->poll},
        {"guest-attributes-window", &timing->guest_attributes_window},
    };
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return err_set(err, ERR_USAGE, "timing '%s': it is not NAME=DURATION", text);
    autofree char *name = xstrndup(text, (size_t)(equals - text));
    const char *names[ARRAY_LEN(rows)];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        names[i] = rows[i].name;
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if (duration_parse(equals + 1, rows[i].value, err) < 0)
            return err_prefix(err, "timing '%s'", name);
        return 0;
    }
    const char *near = text_suggest(name, names, ARRAY_LEN(names));
    return err_set(err, ERR_USAGE, "timing: unknown name '%s'%s%s%s", name,
                   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
}

/* ---- for the parts ---- */

struct server *emu_server(struct emu *emu)
{
    return emu->server;
}

const struct emu_config *emu_config(const struct emu *emu)
{
    return &emu->config;
}

const char *emu_data_dir(const struct emu *emu)
{
    return emu->data_dir;
}

const char *emu_url(const struct emu *emu)
{
    return emu->url;
}

const char *emu_credentials(const struct emu *emu)
{
    return emu->credentials;
}

const char *emu_project(const struct emu *emu)
{
    return emu->project;
}

struct oauth *emu_oauth(struct emu *emu)
{
    return emu->oauth;
}

struct compute *emu_compute(struct emu *emu)
{
    return emu->compute;
}

struct storage *emu_storage(struct emu *emu)
{
    return emu->storage;
}

struct machines *emu_machines(struct emu *emu)
{
    return emu->machines;
}

struct clusters *emu_clusters(struct emu *emu)
{
    return emu->clusters;
}

/* A repository's URL without what does not matter: trailing slashes, ".git". */
static char *repository_key(const char *url)
{
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    if (len > 4 && memcmp(url + len - 4, ".git", 4) == 0)
        len -= 4;
    return xstrndup(url, len);
}

const char *emu_git_mirror(const struct emu *emu, const char *url)
{
    autofree char *key = repository_key(url);
    for (size_t i = 0; i + 1 < emu->mirrors.len; i += 2) {
        if (strcmp(emu->mirrors.items[i], key) == 0)
            return emu->mirrors.items[i + 1];
    }
    return NULL;
}

static int read_mirrors(struct emu *emu, const struct strv *mirrors, struct err *err)
{
    for (size_t i = 0; mirrors != NULL && i < mirrors->len; i++) {
        /* The folder is behind the last '=': a URL may have one. */
        const char *equals = strrchr(mirrors->items[i], '=');
        if (equals == NULL || equals == mirrors->items[i])
            return err_set(err, ERR_USAGE, "git mirror '%s': it is not URL=DIR", mirrors->items[i]);
        if (!fs_is_dir(equals + 1))
            return err_set(err, ERR_USAGE, "git mirror '%s': there is no folder '%s'",
                           mirrors->items[i], equals + 1);
        autofree char *url = xstrndup(mirrors->items[i], (size_t)(equals - mirrors->items[i]));
        strv_take(&emu->mirrors, repository_key(url));
        char *dir = realpath(equals + 1, NULL);
        strv_take(&emu->mirrors, dir != NULL ? dir : xstrdup(equals + 1));
    }
    return 0;
}

/* ---- requests to the main port ---- */

static void answer_not_found(const struct request *request, struct answer *answer)
{
    autofree char *text =
        xasprintf("<!DOCTYPE html>\n<html lang=en><title>Error 404 (Not Found)!!1</title>"
                  "<p><b>404.</b> <ins>That's an error.</ins><p>The requested URL was not found on "
                  "this server. (%s)</html>\n",
                  request->method);
    answer_text(answer, 404, "text/html; charset=UTF-8", text);
}

static bool is_storage_path(const char *path)
{
    return text_starts(path, "/storage/v1/") || text_starts(path, "/upload/storage/v1/") ||
           text_starts(path, "/download/storage/v1/") ||
           text_starts(path, "/resumable/upload/storage/v1/");
}

/* A resumable session's URI is a bearer secret of its own. */
static bool is_upload_session(const struct request *request)
{
    return request_query(request, "upload_id") != NULL && !request_is(request, "POST");
}

static void emu_handle(void *service, const struct request *request, struct answer *answer)
{
    struct emu *emu = service;
    const char *path = request->path;
    if (!atomic_load(&emu->ready)) {
        answer_text(answer, 503, "text/plain", "the emulator is starting\n");
    } else if (strcmp(path, "/token") == 0 || strcmp(path, "/v1/token") == 0 ||
               text_starts(path, "/v1/projects/-/serviceAccounts/")) {
        oauth_handle(emu->oauth, request, answer);
    } else if (text_starts(path, "/compute/v1/")) {
        if (oauth_admits(emu->oauth, request, answer))
            compute_handle(emu->compute, request, answer);
    } else if (text_starts(path, "/emulator/instances/")) {
        if (oauth_admits(emu->oauth, request, answer))
            compute_handle_emulator(emu->compute, request, answer);
    } else if (text_starts(path, "/v1/projects/")) {
        if (oauth_admits(emu->oauth, request, answer))
            secrets_handle(emu, json_at(emu->seed, "secrets"), request, answer);
    } else if (is_storage_path(path)) {
        if (is_upload_session(request) || oauth_admits(emu->oauth, request, answer))
            storage_handle(emu->storage, request, answer);
    } else {
        answer_not_found(request, answer);
    }
}

/* ---- start ---- */

static int make_data_dir(struct emu *emu, struct err *err)
{
    const char *temp = getenv("TMPDIR");
    if (emu->config.data_dir == NULL) {
        emu->data_is_temporary = true;
        return fs_make_temp_dir(temp != NULL && temp[0] != '\0' ? temp : "/tmp",
                                "necoops-emulator-", &emu->data_dir, err);
    }
    if (fs_mkdirs(emu->config.data_dir, 0700, err) < 0)
        return -1;
    char *real = realpath(emu->config.data_dir, NULL);
    emu->data_dir = real != NULL ? real : xstrdup(emu->config.data_dir);
    return 0;
}

static int check_seed_keys(const cJSON *seed, const char *path, struct err *err)
{
    static const char *const known[] = {"project", "projectNumber", "accounts",  "zones",
                                        "images",  "machineTypes",  "instances", "attributes",
                                        "buckets", "clusters",      "disks",     "secrets"};
    if (!cJSON_IsObject(seed))
        return err_set(err, ERR_USAGE, "seed '%s': it is no mapping", path);
    for (const cJSON *item = seed->child; item != NULL; item = item->next) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found = found || strcmp(known[i], item->string) == 0;
        if (found)
            continue;
        const char *near = text_suggest(item->string, known, ARRAY_LEN(known));
        return err_set(err, ERR_USAGE, "seed '%s': unknown key '%s'%s%s%s", path, item->string,
                       near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                       near != NULL ? "'?" : "");
    }
    return 0;
}

static int read_seed(struct emu *emu, struct err *err)
{
    const char *path = emu->config.seed;
    autobuf struct buf text = BUF_INIT(BUF_LARGE);
    emu->project = xstrdup("neco-test");
    if (path == NULL)
        return 0;
    if (fs_read(path, &text, err) < 0) {
        err->code = ERR_USAGE;
        return err_prefix(err, "seed");
    }
    if (yaml_parse_one(text.data, text.len, path, &emu->seed, err) < 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    if (check_seed_keys(emu->seed, path, err) < 0)
        return -1;
    free(emu->project);
    emu->project = xstrdup(json_str_or(emu->seed, "project", "neco-test"));
    return 0;
}

static int start_server(struct emu *emu, struct err *err)
{
    struct server_config config = {.request_log = emu->config.request_log,
                                   .faults = emu->config.faults,
                                   .log = emu->config.log};
    if (server_new(&config, &emu->server, err) < 0)
        return -1;
    struct listener_spec spec = {.name = "google",
                                 .port = emu->config.port,
                                 .handler = emu_handle,
                                 .service = emu,
                                 .body_cap = GOOGLE_BODY_CAP};
    if (listener_start(emu->server, &spec, &emu->google, err) < 0)
        return -1;
    emu->url = xasprintf("http://127.0.0.1:%u", listener_port(emu->google));
    return 0;
}

static int make_parts(struct emu *emu, struct err *err)
{
    if (oauth_new(emu, &emu->oauth, err) < 0 || storage_new(emu, &emu->storage, err) < 0 ||
        clusters_new(emu, &emu->clusters, err) < 0 || machines_new(emu, &emu->machines, err) < 0 ||
        compute_new(emu, &emu->compute, err) < 0)
        return -1;
    emu->credentials = emu->config.credentials != NULL
                           ? xstrdup(emu->config.credentials)
                           : path_join(emu->data_dir, "credentials.json");
    if (oauth_write_key(emu->oauth, emu->credentials, err) < 0)
        return -1;
    char *real = realpath(emu->credentials, NULL);
    if (real != NULL) {
        free(emu->credentials);
        emu->credentials = real;
    }
    return 0;
}

static int seed_parts(struct emu *emu, struct err *err)
{
    const cJSON *buckets = json_at(emu->seed, "buckets");
    const cJSON *clusters = json_at(emu->seed, "clusters");
    if (emu->seed == NULL)
        return 0;
    if (oauth_seed(emu->oauth, json_at(emu->seed, "accounts"), err) < 0 ||
        (buckets != NULL && storage_seed(emu->storage, buckets, err) < 0) ||
        compute_seed(emu->compute, emu->seed, err) < 0 ||
        (clusters != NULL && clusters_seed(emu->clusters, clusters, err) < 0))
        return -1;
    return 0;
}

static int write_port_file(const struct emu *emu, struct err *err)
{
    if (emu->config.port_file == NULL)
        return 0;
    autofree char *text = xasprintf("%u\n", listener_port(emu->google));
    return fs_write(emu->config.port_file, text, strlen(text), 0644, err);
}

int emu_start(const struct emu_config *config, struct emu **out, struct err *err)
{
    struct emu *emu = xcalloc(1, sizeof *emu);
    emu->config = *config;
    if (read_mirrors(emu, config->git_mirrors, err) < 0 || read_seed(emu, err) < 0 ||
        make_data_dir(emu, err) < 0 || start_server(emu, err) < 0 || make_parts(emu, err) < 0 ||
        seed_parts(emu, err) < 0) {
        emu_stop(emu);
        return -1;
    }
    atomic_store(&emu->ready, true);
    if (write_port_file(emu, err) < 0) {
        emu_stop(emu);
        return -1;
    }
    *out = emu;
    return 0;
}

/* ---- stop ---- */

static void remove_data(struct emu *emu)
{
    autoerr struct err err = ERR_INIT;
    if (emu->data_dir == NULL || !emu->data_is_temporary)
        return;
    if (fs_remove_tree(emu->data_dir, &err) < 0 && emu->config.log != NULL)
        log_warning(emu->config.log, "%s", err_text(&err));
}

void emu_stop(struct emu *emu)
{
    if (emu == NULL)
        return;
    if (atomic_load(&emu->ready) && emu->config.port_file != NULL)
        (void)unlink(emu->config.port_file); /* nobody is to call a port that is served no more */
    if (emu->server != NULL)
        server_stop(emu->server);
    compute_stop(emu->compute);
    machines_free(emu->machines);
    clusters_free(emu->clusters);
    compute_free(emu->compute);
    storage_free(emu->storage);
    oauth_free(emu->oauth);
    server_free(emu->server);
    remove_data(emu);
    strv_clear(&emu->mirrors);
    cJSON_Delete(emu->seed);
    free(emu->url);
    free(emu->data_dir);
    free(emu->credentials);
    free(emu->project);
    free(emu);
}
