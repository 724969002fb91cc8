#include <string.h>
#include "necoops/base/proc.h"
#include "necoops/base/timefmt.h"
#include "snapshot/qmp.h"
#include "snapshot/restore.h"

#define COMMAND_MS  ((int64_t)10 * 60 * 1000)
#define LISTING_MAX ((size_t)8 << 20)

static int run_command(const struct run *run, const struct strv *argv, struct buf *out,
                       struct err *err)
{
    struct proc_spec spec = {
        .argv = (const char *const *)argv->items,
        .timeout_ms = COMMAND_MS,
    };
    autofree char *shown = strv_join(argv, " ");
    struct proc_result result = {.out = BUF_INIT(LISTING_MAX), .error = BUF_INIT(BUF_SMALL)};
    int64_t start = run_mono_ms(run);
    log_debug(run->log, "running '%s'", shown);
    int status = proc_check(run, &spec, &result, err);
    if (status == 0) {
        struct duration_text took = duration_format(run_mono_ms(run) - start);
        log_debug(run->log, "'%s' took %s", shown, took.text);
        if (out)
            status = buf_add(out, result.out.data, result.out.len);
        if (status != 0)
            err_set(err, ERR_FAILED, "'%s' printed more than %zu bytes", shown, LISTING_MAX);
    }
    buf_clear(&result.out);
    buf_clear(&result.error);
    return status;
}

static int argv_from_json(const cJSON *command, const char *which, struct strv *argv,
                          struct err *err)
{
    const cJSON *word;
    cJSON_ArrayForEach(word, command)
    {
        if (!cJSON_IsString(word))
            return err_set(err, ERR_USAGE, "'%s' has a command that is no list of strings", which);
        strv_add(argv, word->valuestring);
    }
    if (argv->len == 0)
        return err_set(err, ERR_USAGE, "'%s' has an empty command", which);
    return 0;
}

int restore_commands(const struct run *run, const cJSON *list, const char *which, struct err *err)
{
    const cJSON *command;
    cJSON_ArrayForEach(command, list)
    {
        autostrv struct strv argv = STRV_INIT;
        if (argv_from_json(command, which, &argv, err) != 0)
            return -1;
        if (run_command(run, &argv, NULL, err) != 0)
            return err_prefix(err, "%s", which);
    }
    return 0;
}

static bool is_word_char(char c)
{
    return c == '-' || c == '_' || c == '.' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

/* The tag as a word of its own, as in the table that QEMU prints for `info snapshots`. */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++) {
        bool begins = at == text || !is_word_char(at[-1]);
        if (begins && !is_word_char(at[len]))
            return true;
    }
    return false;
}

/* The forms in which a VM's snapshots are listed: names, objects with a name, or QEMU's table. */
static bool names_tag(const cJSON *value, const char *tag)
{
    if (cJSON_IsString(value))
        return has_word(value->valuestring, tag);
    if (cJSON_IsObject(value)) {
        const char *name = json_str_or(value, "name", json_str_or(value, "tag", ""));
        if (strcmp(name, tag) == 0)
            return true;
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        if ((cJSON_IsArray(value) || cJSON_IsObject(item) || cJSON_IsArray(item)) &&
            names_tag(item, tag))
            return true;
    }
    return false;
}

int restore_check_list(const char *text, size_t len, const char *tag, struct err *err)
{
    autojson cJSON *list = NULL;
    autostrv struct strv missing = STRV_INIT;
    if (json_parse(text, len, "snapshot list", &list, err) != 0)
        return -1;
    if (!cJSON_IsObject(list) || !list->child)
        return err_set(err, ERR_FAILED, "no VM is listed: nothing was loaded");
    const cJSON *vm;
    cJSON_ArrayForEach(vm, list)
    {
        if (!names_tag(vm, tag))
            strv_add(&missing, vm->string);
    }
    if (missing.len == 0)
        return 0;
    autofree char *names = strv_join(&missing, "', '");
    autofree char *shown = text_visible(names, strlen(names), false);
    return err_set(err, ERR_FAILED, "snapshot '%s' does not exist in '%s'", tag, shown);
}

static void default_load(const struct snapshot_options *options, struct strv *argv)
{
    if (options->load->len > 0) {
        for (size_t i = 0; i < options->load->len; i++)
            strv_add(argv, options->load->items[i]);
        return;
    }
    strv_add(argv, "pmctl");
    strv_add(argv, "snapshot");
    strv_add(argv, "load");
    strv_add(argv, options->tag);
}

/* ---- what is needed ---- */

static int check_program(const struct run *run, const char *name, const char *key, struct err *err)
{
    autoerr struct err why = ERR_INIT;
    if (!name || proc_find(run, name, &why) == 0)
        return 0;
    return err_set(err, ERR_FAILED, "%s: %s; nothing was downloaded", key, err_text(&why));
}

static const char *first_of(const struct strv *argv)
{
    return argv->len > 0 ? argv->items[0] : NULL;
}

static int check_commands(const struct run *run, const cJSON *list, const char *key,
                          struct err *err)
{
    const cJSON *command;
    cJSON_ArrayForEach(command, list)
    {
        autostrv struct strv argv = STRV_INIT;
        if (argv_from_json(command, key, &argv, err) != 0 ||
            check_program(run, argv.items[0], key, err) != 0)
            return -1;
    }
    return 0;
}

static int check_loader(const struct run *run, const struct snapshot_options *options,
                        struct err *err)
{
    if (options->loader == SNAPSHOT_LOADER_QMP) {
        /* Commands may start the VMs; else they must run. */
        bool started = options->load->len > 0 || cJSON_GetArraySize(options->before) > 0;
        if (qmp_check(options->qmp_sockets, options->tag, !started, err) != 0)
            return -1;
        return check_program(run, first_of(options->load), "snapshot.load", err);
    }
    autostrv struct strv load = STRV_INIT;
    default_load(options, &load);
    if (check_program(run, first_of(&load), "snapshot.load", err) != 0)
        return -1;
    return check_program(run, first_of(options->verify), "snapshot.verify", err);
}

int restore_check(const struct run *run, const struct snapshot_options *options, struct err *err)
{
    if (check_commands(run, options->before, "snapshot.before", err) != 0 ||
        check_commands(run, options->after, "snapshot.after", err) != 0)
        return -1;
    if (options->loader == SNAPSHOT_LOADER_NONE)
        return 0;
    if (check_loader(run, options, err) != 0)
        return -1;
    if (!options->gate)
        return 0;
    return check_program(run, first_of(options->kubeconfig_issue), "snapshot.kubeconfig.issue",
                         err);
}

/* ---- the load ---- */

static int by_command(const struct run *run, const struct snapshot_options *options,
                      struct err *err)
{
    autostrv struct strv load = STRV_INIT;
    autobuf struct buf listing = BUF_INIT(LISTING_MAX);
    default_load(options, &load);
    if (run_command(run, &load, NULL, err) != 0)
        return err_prefix(err, "load");
    if (options->verify->len == 0)
        return 0;
    if (run_command(run, options->verify, &listing, err) != 0 ||
        restore_check_list(listing.data, listing.len, options->tag, err) != 0)
        return err_prefix(err, "after the load");
    return 0;
}

/* The monitors themselves tell when there is no such snapshot. */
static int by_monitor(const struct run *run, const struct snapshot_options *options,
                      struct err *err)
{
    struct run limited = run_within(run, options->gate_timeout_ms);
    size_t count = 0;
    if (options->load->len > 0 && run_command(run, options->load, NULL, err) != 0)
        return err_prefix(err, "load");
    if (qmp_load(&limited, options->qmp_sockets, options->tag, &count, err) != 0)
        return -1;
    log_info(run->log, "%zu VMs go on from snapshot '%s'", count, options->tag);
    return 0;
}

int restore_vms(const struct run *run, const struct snapshot_options *options, struct err *err)
{
    if (options->loader == SNAPSHOT_LOADER_QMP)
        return by_monitor(run, options, err);
    return by_command(run, options, err);
}
