/* What a tool leaves behind: standard output and files. Small ones go over the serial port, large
 * ones through the results bucket. */
#include "agent/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define SMALL_MOST  ((size_t)16 << 10)  /* goes over the port although there is a bucket */
#define PORT_MOST   ((size_t)384 << 10) /* over the port at all: its ring holds a megabyte */
#define RESULT_MOST ((size_t)64 << 20)
#define UPLOAD_MS   30000

char *result_folder(const struct agent *agent, const char *id)
{
    return xasprintf("%s/results/%s", agent->options->state, id);
}

void result_forget(struct agent *agent, const char *id)
{
    autofree char *folder = result_folder(agent, id);
    autoerr struct err err = ERR_INIT;
    if (fs_remove_tree(folder, &err) < 0)
        log_warning(agent->run.log, "%s", err_text(&err));
}

/* ---- one result ---- */

static void say_pieces(struct agent *agent, const struct job *job, const char *name,
                       const struct buf *data)
{
    for (size_t at = 0; at < data->len; at += WIRE_PIECE_MAX) {
        size_t len = data->len - at < WIRE_PIECE_MAX ? data->len - at : WIRE_PIECE_MAX;
        autofree char *text = base64_encode(data->data + at, len);
        cJSON *frame = json_object();
        json_set_str(frame, "name", name);
        json_set_i64(frame, "at", (int64_t)at);
        json_set_str(frame, "data", text);
        port_say(agent, "data", job, frame);
    }
}

/* To RESULTS/ID/NAME; `result` gets the URL and the generation. */
static int upload(const struct agent *agent, const struct job *job, const char *name,
                  const struct buf *data, cJSON *result, struct err *err)
{
    struct run run = run_within(&agent->run, UPLOAD_MS);
    autofree char *bucket = NULL;
    autofree char *prefix = NULL;
    autohttp struct http *http = NULL;
    autoauth struct auth *auth = NULL;
    autogcs struct gcs *gcs = NULL;
    autogcsobject struct gcs_object object = {0};
    const char *results = conf_str(agent->conf, "results");
    autofree char *base =
        xasprintf("%s%s%s/%s", results, text_ends(results, "/") ? "" : "/", job->request.id, name);
    if (gcs_split_url(base, &bucket, &prefix, err) < 0 || http_new(&run, &http, err) < 0 ||
        auth_find(http, &auth, err) < 0 || gcs_new(http, auth, &gcs, err) < 0 ||
        gcs_write(gcs, bucket, prefix, "application/octet-stream", data->data, data->len, 0,
                  &object, err) < 0)
        return -1;
    json_set_str(result, "url", base);
    json_set_i64_str(result, "generation", object.generation);
    return 0;
}

/* How it travels; what cannot is said in the result. */
static void send_data(struct agent *agent, const struct job *job, const char *name,
                      const struct buf *data, bool by_port, cJSON *result)
{
    autoerr struct err err = ERR_INIT;
    bool has_bucket = !by_port && conf_str(agent->conf, "results") && data->len > SMALL_MOST;
    if (has_bucket && upload(agent, job, name, data, result, &err) == 0)
        return;
    if (data->len <= PORT_MOST) {
        if (err.code != ERR_NONE)
            log_warning(agent->run.log, "%s; it goes over the serial port", err_text(&err));
        say_pieces(agent, job, name, data);
        return;
    }
    autofree char *why =
        err.code != ERR_NONE
            ? xstrdup(err_text(&err))
            : xasprintf("it has %zu bytes, too many for the serial port; set 'results' to a gs:// "
                        "folder",
                        data->len);
    json_set_str(result, "error", why);
}

static cJSON *send_result(struct agent *agent, const struct job *job, const char *name,
                          bool by_port)
{
    autofree char *folder = result_folder(agent, job->request.id);
    autofree char *path = path_join(folder, name);
    autobuf struct buf data = BUF_INIT(RESULT_MOST);
    autoerr struct err err = ERR_INIT;
    cJSON *result = json_object();
    json_set_str(result, "name", name);
    if (fs_read(path, &data, &err) < 0) {
        json_set_str(result, "error",
                     err.code == ERR_NOT_FOUND ? "it was not written" : err_text(&err));
        return result;
    }
    autofree char *crc = xasprintf("%08" PRIx32, crc32c(0, data.data, data.len));
    json_set_i64(result, "size", (int64_t)data.len);
    json_set_str(result, "crc32c", crc);
    send_data(agent, job, name, &data, by_port, result);
    return result;
}

/* ---- all of them ---- */

static cJSON *send_all(struct agent *agent, struct job *job, bool again)
{
    cJSON *results = json_array();
    const cJSON *file;
    json_push(results, send_result(agent, job, "stdout", again));
    cJSON_ArrayForEach(file, json_at(job->json, "files"))
        json_push(results, send_result(agent, job, file->valuestring, again));
    /* Events went out one by one; only who missed some asks again. */
    if (again && job->request.events)
        json_push(results, send_result(agent, job, "events", false));
    return results;
}

void result_send(struct agent *agent, struct job *job, int status, const char *error)
{
    cJSON *results = send_all(agent, job, false);
    cJSON_Delete(job->end);
    job->end = json_object();
    json_set_i64(job->end, "status", status);
    json_set_str(job->end, "error", error);
    json_set_i64(job->end, "events", job->events_count);
    json_set(job->end, "results", results);
    port_say(agent, "end", job, json_copy(job->end));
}

void result_send_again(struct agent *agent, struct job *job)
{
    autofree char *folder = result_folder(agent, job->request.id);
    if (fs_is_dir(folder))
        json_set(job->end, "results", send_all(agent, job, true));
    port_say(agent, "end", job, json_copy(job->end));
}
