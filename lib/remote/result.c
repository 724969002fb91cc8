/* The results: from the serial port or the bucket, checked, and put where they were asked for. */
#include "remote/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/gcs/gcs.h"

#define RESULT_MAX ((size_t)64 << 20)

static const cJSON *described(const struct remote *remote, const char *name)
{
    const cJSON *result;
    cJSON_ArrayForEach(result, json_at(remote->end, "results"))
    {
        if (strcmp(json_str_or(result, "name", ""), name) == 0)
            return result;
    }
    return NULL;
}

static bool is_whole(const struct buf *data, const cJSON *result)
{
    int64_t size = -1;
    autofree char *crc = xasprintf("%08" PRIx32, crc32c(0, data->data, data->len));
    return json_i64(result, "size", &size) && (int64_t)data->len == size &&
           strcmp(crc, json_str_or(result, "crc32c", "")) == 0;
}

static const struct piece *piece_of(const struct remote *remote, const char *name)
{
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        if (remote->pieces[i].name && strcmp(remote->pieces[i].name, name) == 0)
            return &remote->pieces[i];
    }
    return NULL;
}

static bool came_whole(const struct remote *remote, const char *name)
{
    const cJSON *result = described(remote, name);
    const struct piece *piece = piece_of(remote, name);
    if (!result || json_str(result, "error") || json_str(result, "url"))
        return true; /* nothing more would come over the port */
    return piece && is_whole(&piece->data, result);
}

static bool events_wanted(const struct remote *remote)
{
    int64_t count = 0;
    (void)json_i64(remote->end, "events", &count);
    return (remote->events_missing || remote->events_next < count) && !described(remote, "events");
}

bool listen_incomplete(const struct remote *remote)
{
    const cJSON *result;
    cJSON_ArrayForEach(result, json_at(remote->end, "results"))
    {
        if (!came_whole(remote, json_str_or(result, "name", "")))
            return true;
    }
    return events_wanted(remote);
}

/* ---- one result ---- */

/* Only from the folder that the configuration names: the instance does not choose what is read and
 * deleted with our rights. */
static int from_bucket(struct remote *remote, const char *url, const cJSON *result, struct buf *out,
                       struct err *err)
{
    const char *folder = conf_str(remote->conf, "results");
    autofree char *prefix = folder ? xasprintf("%s%s%s/", folder, text_ends(folder, "/") ? "" : "/",
                                               remote->request.text)
                                   : NULL;
    autofree char *bucket = NULL;
    autofree char *name = NULL;
    autogcs struct gcs *gcs = NULL;
    autogcsobject struct gcs_object object = {0};
    autoerr struct err left = ERR_INIT;
    int64_t generation = 0;
    if (!prefix || !text_starts(url, prefix))
        return err_set(err, ERR_FAILED,
                       "it is at '%s', which is not in the folder 'results' of the configuration",
                       url);
    if (gcs_split_url(url, &bucket, &name, err) < 0 ||
        gcs_new(remote->cloud.http, remote->cloud.auth, &gcs, err) < 0)
        return -1;
    (void)json_i64(result, "generation", &generation);
    if (gcs_read(gcs, bucket, name, generation, out, &object, err) < 0)
        return -1;
    if (gcs_delete(gcs, bucket, name, generation, &left) < 0)
        log_warning(remote->run.log, "'%s' is left behind: %s", url, err_text(&left));
    return 0;
}

int result_get(struct remote *remote, const char *name, struct buf *out, struct err *err)
{
    const cJSON *result = described(remote, name);
    const struct piece *piece = piece_of(remote, name);
    const char *url = json_str(result, "url");
    if (!result)
        return err_set(err, ERR_FAILED, "the agent did not send it");
    if (json_str(result, "error"))
        return err_set(err, ERR_FAILED, "%s", json_str(result, "error"));
    if (url && from_bucket(remote, url, result, out, err) < 0)
        return -1;
    if (!url && piece)
        (void)buf_add(out, piece->data.data, piece->data.len);
    if (!is_whole(out, result))
        return err_set(err, ERR_FAILED, "it did not come whole");
    return 0;
}

/* ---- all of them ---- */

/* Of a text for a terminal only colours are let through. */
static char *fit_for_terminal(const struct buf *text, bool color)
{
    struct buf out = BUF_INIT(RESULT_MAX * 4);
    const char *at = text->data, *end = text->data + text->len;
    while (at < end) {
        const char *escape = memchr(at, '\x1b', (size_t)(end - at));
        const char *stop = escape ? escape : end;
        autofree char *visible = text_visible(at, (size_t)(stop - at), true);
        buf_adds(&out, visible);
        at = stop;
        if (!escape)
            break;
        size_t len = escape[1] == '[' ? 2 + strspn(escape + 2, "0123456789;") : 0;
        if (color && len > 0 && escape[len] == 'm')
            buf_add(&out, escape, ++len);
        else
            buf_addf(&out, "\\x1b%.*s", (int)(len > 1 ? len - 1 : 0), escape + 1);
        at += len > 0 ? len : 1;
    }
    return buf_steal(&out);
}

static int take_file(struct remote *remote, const struct remote_file *file, struct err *err)
{
    autobuf struct buf data = BUF_INIT(RESULT_MAX);
    if (!file->path)
        return 0;
    if (result_get(remote, file->name, &data, err) < 0 ||
        fs_write(file->path, data.data, data.len, 0644, err) < 0)
        return err_prefix(err, "'%s'", file->path);
    return 0;
}

/* The last whole line is the event that counts for us. */
static void take_last_event(struct remote *remote, const struct buf *lines)
{
    autoerr struct err ignored = ERR_INIT;
    size_t end = lines->len;
    while (end > 0 && lines->data[end - 1] == '\n')
        end--;
    const char *before = end > 0 ? memrchr(lines->data, '\n', end) : NULL;
    size_t from = before ? (size_t)(before - lines->data) + 1 : 0;
    cJSON *event = NULL;
    if (json_parse(lines->data + from, end - from, "event", &event, &ignored) < 0)
        return;
    cJSON_Delete(remote->outcome->last);
    remote->outcome->last = event;
}

/* Some were lost on the way: the whole file instead. */
static int take_events(struct remote *remote, struct err *err)
{
    autobuf struct buf data = BUF_INIT(RESULT_MAX);
    if (!described(remote, "events"))
        return 0;
    if (result_get(remote, "events", &data, err) < 0)
        return err_prefix(err, "events");
    take_last_event(remote, &data);
    if (!remote->work->events)
        return 0;
    return fs_write(remote->work->events, data.data, data.len, 0644, err);
}

int result_take_all(struct remote *remote, struct err *err)
{
    autobuf struct buf output = BUF_INIT(RESULT_MAX);
    if (!described(remote, "stdout"))
        return 0; /* it never got so far */
    if (result_get(remote, "stdout", &output, err) < 0)
        return err_prefix(err, "the output of %s on the instance", remote->work->tool);
    remote->outcome->output = fit_for_terminal(&output, remote->work->color);
    int status = take_events(remote, err);
    for (size_t i = 0; status == 0 && i < remote->work->files_len; i++)
        status = take_file(remote, &remote->work->files[i], err);
    return status;
}
