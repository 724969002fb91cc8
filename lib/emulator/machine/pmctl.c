/* pmctl and ckecli: the commands of the virtual data centre, with the manners of the real ones. */
#include "emulator/machine/internal.h"

#include "necoops/base/text.h"

#define ANSWER_CAP  ((size_t)16 << 20)
#define DEFAULT_DIR "/var/scratch/placemat"

static int complain(const char *tool, const char *text)
{
    fprintf(stderr, "%s: %s", tool, text);
    if (!text_ends(text, "\n"))
        fputc('\n', stderr);
    return 1;
}

/* Where the VMs' disks and snapshots are, as seen from the machine's "/". */
static const char *data_dir(void)
{
    const char *dir = getenv("PLACEMAT_DATA");
    const char *root = inside_root();
    if (dir == NULL || dir[0] != '/')
        return DEFAULT_DIR;
    if (root[0] != '\0' && text_starts(dir, root) && dir[strlen(root)] == '/')
        return dir + strlen(root);
    return dir;
}

/* 0 with the answer in `out` when the call went well; else what it says is told, and 1. */
static int call(const char *tool, const char *method, const char *what, const char *tag,
                struct buf *out)
{
    autoerr struct err err = ERR_INIT;
    autofree char *dir = url_encode(data_dir());
    autofree char *encoded = tag != NULL ? url_encode(tag) : NULL;
    autofree char *path = xasprintf("/emulator/placemat/%s?dir=%s%s%s", what, dir,
                                    encoded != NULL ? "&tag=" : "", encoded != NULL ? encoded : "");
    int status = 0;
    if (inside_call(method, path, "", &status, out, &err) < 0)
        return complain(tool, err_text(&err));
    return status == 200 ? 0 : complain(tool, out->data);
}

static int print_json(const struct buf *text)
{
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = NULL;
    if (json_parse(text->data, text->len, "answer", &json, &err) < 0)
        return complain("pmctl", err_text(&err));
    autofree char *pretty = json_print_pretty(json);
    puts(pretty);
    return 0;
}

/* ---- pmctl ---- */

static int snapshot(int argc, char **argv)
{
    autobuf struct buf out = BUF_INIT(ANSWER_CAP);
    if (argc == 1 && strcmp(argv[0], "list") == 0)
        return call("pmctl", "GET", "snapshots", NULL, &out) == 0 ? print_json(&out) : 1;
    if (argc == 2 && strcmp(argv[0], "save") == 0)
        return call("pmctl", "POST", "snapshots/save", argv[1], &out);
    if (argc == 2 && strcmp(argv[0], "load") == 0)
        return call("pmctl", "POST", "snapshots/load", argv[1], &out);
    return complain("pmctl", "usage: pmctl snapshot list | save TAG | load TAG");
}

static int node_list(bool as_json)
{
    autobuf struct buf out = BUF_INIT(ANSWER_CAP);
    autoerr struct err err = ERR_INIT;
    autojson cJSON *json = NULL;
    if (call("pmctl", "GET", "nodes", NULL, &out) != 0)
        return 1;
    if (as_json)
        return print_json(&out);
    if (json_parse(out.data, out.len, "answer", &json, &err) < 0)
        return complain("pmctl", err_text(&err));
    const cJSON *item;
    cJSON_ArrayForEach(item, json) puts(json_str_or(item, "name", ""));
    return 0;
}

static int node(int argc, char **argv)
{
    autobuf struct buf out = BUF_INIT(ANSWER_CAP);
    if (argc >= 1 && strcmp(argv[0], "list") == 0)
        return node_list(argc == 2 && strcmp(argv[1], "--json") == 0);
    if (argc == 2 && strcmp(argv[0], "show") == 0) {
        autofree char *name = url_encode(argv[1]);
        autofree char *what = xasprintf("nodes/%s", name);
        return call("pmctl", "GET", what, NULL, &out) == 0 ? print_json(&out) : 1;
    }
    if (argc == 3 && strcmp(argv[0], "action") == 0) {
        autofree char *name = url_encode(argv[2]);
        autofree char *action = url_encode(argv[1]);
        autofree char *what = xasprintf("nodes/%s/%s", name, action);
        return call("pmctl", "POST", what, NULL, &out);
    }
    return complain("pmctl", "usage: pmctl node list [--json] | show NODE | action "
                             "start|stop|restart NODE");
}

/* There are no pods: all that runs are VMs. */
static int pod(int argc, char **argv)
{
    if (argc < 1 || strcmp(argv[0], "list") != 0)
        return complain("pmctl", "usage: pmctl pod list [--json]");
    if (argc == 2 && strcmp(argv[1], "--json") == 0)
        puts("[]");
    return 0;
}

int pmctl_command(int argc, char **argv)
{
    int at = 1;
    /* There is one placemat here, wherever it is said to listen. */
    if (at < argc && strcmp(argv[at], "--endpoint") == 0)
        at += 2;
    else if (at < argc && text_starts(argv[at], "--endpoint="))
        at++;
    const char *what = at < argc ? argv[at++] : "";
    if (strcmp(what, "snapshot") == 0 && at < argc)
        return snapshot(argc - at, argv + at);
    if (strcmp(what, "node") == 0 && at < argc)
        return node(argc - at, argv + at);
    if (strcmp(what, "pod") == 0)
        return pod(argc - at, argv + at);
    return complain("pmctl", "usage: pmctl [--endpoint URL] node|pod|snapshot COMMAND");
}

/* ---- ckecli ---- */

int ckecli_command(int argc, char **argv)
{
    autobuf struct buf out = BUF_INIT(ANSWER_CAP);
    if (argc >= 3 && strcmp(argv[1], "kubernetes") == 0 && strcmp(argv[2], "issue") == 0) {
        if (call("ckecli", "GET", "kubeconfig", NULL, &out) != 0)
            return 1;
        fputs(out.data, stdout);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "cluster") == 0 && strcmp(argv[2], "get") == 0)
        return call("ckecli", "GET", "cluster", NULL, &out) == 0 ? print_json(&out) : 1;
    return complain("ckecli", "usage: ckecli kubernetes issue | cluster get");
}
