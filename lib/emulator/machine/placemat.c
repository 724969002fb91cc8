/* The virtual data centre inside a machine, as pmctl and ckecli see it.
 *
 * Its VMs are images in a folder of the machine's own; a snapshot says which bytes they had.
 * Loading one takes the VMs back to it: if every image is as the snapshot says, their cluster comes
 * up; if not, they hang, and nobody says so but the console. */
#include "emulator/machine/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define SNAPSHOT_CAP ((size_t)1 << 20)

/* ---- state ---- */

void placemat_init(struct placemat *placemat)
{
    *placemat = (struct placemat){.count = 0};
    pthread_mutex_init(&placemat->lock, NULL);
}

static void drop_nodes(struct placemat *placemat)
{
    for (size_t i = 0; i < placemat->count; i++)
        free(placemat->nodes[i].name);
    free(steal(placemat->nodes));
    placemat->count = 0;
}

/* The lock is held. */
static void end_cluster(struct placemat *placemat)
{
    if (placemat->cluster != NULL)
        cluster_stop(steal(placemat->cluster));
    free(steal(placemat->version));
}

void placemat_switch(struct placemat *placemat, bool on)
{
    pthread_mutex_lock(&placemat->lock);
    placemat->on = on;
    end_cluster(placemat);
    drop_nodes(placemat);
    pthread_mutex_unlock(&placemat->lock);
}

void placemat_clear(struct placemat *placemat)
{
    placemat_switch(placemat, false);
    pthread_mutex_destroy(&placemat->lock);
}

static struct node *add_node(struct placemat *placemat, const char *name)
{
    placemat->nodes = xrealloc(placemat->nodes, (placemat->count + 1) * sizeof *placemat->nodes);
    struct node *node = &placemat->nodes[placemat->count++];
    *node = (struct node){.name = xstrdup(name)};
    return node;
}

static struct node *find_node(struct placemat *placemat, const char *name)
{
    for (size_t i = 0; i < placemat->count; i++) {
        if (strcmp(placemat->nodes[i].name, name) == 0)
            return &placemat->nodes[i];
    }
    return NULL;
}

/* ---- files of the machine ---- */

/* One call, and the data folder that it is about. */
struct call {
    struct machine *machine;
    struct placemat *placemat;
    const struct request *request;
    const char *dir;
    int root;            /* "/" as the machine has it, or -1 */
    struct strv console; /* said at the end, when no lock is held */
};

static int open_root(struct machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    const struct process *process = &machine->process;
    autofree char *path = process->namespaces ? xasprintf("/proc/%d/root", (int)process->pid)
                                              : xasprintf("%s/root", machine->folder);
    int root = process->pid > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    pthread_mutex_unlock(&machine->lock);
    return root;
}

/* Opens a file of the machine's, where no link leads out of its world; -1 with errno. */
static int open_inside(const struct call *call, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
                           .mode = flags & O_CREAT ? 0644 : 0,
                           .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, call->root, path, &how, sizeof how);
}

static int read_snapshot(struct call *call, const char *name, cJSON **out, struct err *err)
{
    autofree char *path = xasprintf("%s/snapshots/%s", call->dir, name);
    autoclose int fd = open_inside(call, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_FAILED, errno,
                             "'%s' cannot be opened", path);
    autobuf struct buf text = BUF_INIT(SNAPSHOT_CAP);
    char block[8192];
    for (ssize_t n; (n = read(fd, block, sizeof block)) != 0;) {
        if (n < 0)
            return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be read", path);
        if (buf_add(&text, block, (size_t)n) < 0)
            return err_set(err, ERR_FAILED, "'%s' is too long", path);
    }
    autojson cJSON *json = NULL;
    if (json_parse(text.data, text.len, path, &json, err) < 0)
        return -1;
    if (!cJSON_IsArray(json_at(json, "nodes")) || json_at(json, "nodes")->child == NULL)
        return err_set(err, ERR_FAILED, "'%s' names no nodes", path);
    *out = steal(json);
    return 0;
}

/* Names of a folder of the machine's, sorted; none when there is no such folder. */
static void list_folder(struct call *call, const char *name, struct strv *out)
{
    autofree char *path = xasprintf("%s/%s", call->dir, name);
    int fd = open_inside(call, path, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.')
            strv_add(out, entry->d_name);
    }
    closedir(folder);
    strv_sort(out);
}

/* Without VMs that run, those whose disks are there. The lock is held. */
static void discover_nodes(struct call *call)
{
    autostrv struct strv names = STRV_INIT;
    if (call->placemat->count > 0)
        return;
    list_folder(call, "volumes", &names);
    for (size_t i = 0; i < names.len; i++)
        add_node(call->placemat, names.items[i]);
}

/* ---- load ---- */

struct load {
    cJSON *snapshot;
    struct strv names;
    char *version, *argocd_version;
    char *ca_cert_pem, *ca_key_pem;
    bool hangs;
};

static void load_clear(struct load *load)
{
    cJSON_Delete(load->snapshot);
    strv_clear(&load->names);
    free(load->version);
    free(load->argocd_version);
    free(load->ca_cert_pem);
    free(load->ca_key_pem);
}

static int load_image(struct call *call, const cJSON *item, struct image *image, struct err *err)
{
    const char *name = json_str_or(item, "name", "");
    autofree char *path = xasprintf("%s/%s", call->dir, json_str_or(item, "image", ""));
    autoclose int fd = open_inside(call, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", path);
    if (image_read(fd, json_str_or(item, "sha256", ""), image, err) < 0)
        return err_prefix(err, "'%s'", path);
    if (strcmp(image->node, name) != 0)
        return err_set(err, ERR_FAILED, "'%s' is the disk of '%s'", path, image->node);
    return 0;
}

/* What the image says of the cluster; all must say the same. */
static int load_facts(struct load *load, struct image *image, struct err *err)
{
    if (load->version != NULL && strcmp(load->version, image->kubernetes_version) != 0)
        return err_set(err, ERR_FAILED, "Kubernetes %s and %s in one cluster", load->version,
                       image->kubernetes_version);
    if (load->version == NULL) {
        load->version = steal(image->kubernetes_version);
        load->argocd_version = steal(image->argocd_version);
    }
    if (load->ca_cert_pem == NULL) {
        load->ca_cert_pem = steal(image->ca_cert_pem);
        load->ca_key_pem = steal(image->ca_key_pem);
    }
    return 0;
}

/* The lock is held. */
static void load_node(struct call *call, const cJSON *item, struct load *load)
{
    autoerr struct err err = ERR_INIT;
    struct image image = {.node = NULL};
    const char *name = json_str_or(item, "name", "?");
    struct node *node = add_node(call->placemat, name);
    strv_add(&load->names, name);
    node->hangs = load_image(call, item, &image, &err) < 0 || load_facts(load, &image, &err) < 0;
    node->running = !node->hangs;
    image_clear(&image);
    if (node->hangs) {
        load->hangs = true;
        strv_addf(&call->console, "placemat: node %s hangs after loadvm: %s", name, err_text(&err));
    }
}

/* The lock is held. */
static void start_cluster(struct call *call, struct load *load)
{
    autoerr struct err err = ERR_INIT;
    struct placemat *placemat = call->placemat;
    struct cluster_spec spec = {.name = call->machine->name,
                                .version = load->version,
                                .nodes = &load->names,
                                .ca_cert_pem = load->ca_cert_pem,
                                .ca_key_pem = load->ca_key_pem,
                                .argocd_version = load->argocd_version};
    if (load->ca_cert_pem == NULL || load->ca_key_pem == NULL)
        err_set(&err, ERR_FAILED, "no VM has the cluster's CA");
    else if (cluster_start(emu_clusters(call->machine->machines->emu), &spec, &placemat->cluster,
                           &err) == 0)
        placemat->version = steal(load->version);
    if (placemat->cluster == NULL)
        strv_addf(&call->console, "placemat: the cluster does not come up: %s", err_text(&err));
}

static void load_all(struct call *call, struct load *load)
{
    const cJSON *item;
    end_cluster(call->placemat);
    drop_nodes(call->placemat);
    cJSON_ArrayForEach(item, json_at(load->snapshot, "nodes")) load_node(call, item, load);
    if (!load->hangs)
        start_cluster(call, load);
}

static void handle_load(struct call *call, const char *tag, struct answer *answer)
{
    autoerr struct err err = ERR_INIT;
    autofree char *name = xasprintf("%s.json", tag);
    CLEANUP(load_clear) struct load load = {.snapshot = NULL};
    struct placemat *placemat = call->placemat;
    answer_text(answer, 200, "text/plain", "");
    if (!snapshot_tag_valid(tag) || read_snapshot(call, name, &load.snapshot, &err) < 0) {
        /* Of a tag that does not exist placemat reports no error, and loads nothing. */
        if (err.code != ERR_NOT_FOUND && err.code != ERR_NONE)
            strv_addf(&call->console, "placemat: loadvm %s: %s", tag, err_text(&err));
        return;
    }
    pthread_mutex_lock(&placemat->lock);
    /* The machine may have been switched off meanwhile: then nothing is to come up. */
    if (placemat->on)
        load_all(call, &load);
    pthread_mutex_unlock(&placemat->lock);
}

/* ---- save ---- */

static int save_node(struct call *call, const char *name, cJSON *snapshot, struct err *err)
{
    struct stat st;
    struct sha256_hex sum;
    autofree char *path = xasprintf("%s/volumes/%s/root.img", call->dir, name);
    autoclose int fd = open_inside(call, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be opened", path);
    autofree char *same = xasprintf("/proc/self/fd/%d", fd);
    if (sha256_file(same, &sum, err) < 0)
        return -1;
    snapshot_add_node(snapshot, name, (uint64_t)st.st_size, sum.text);
    return 0;
}

static int write_snapshot(struct call *call, const char *tag, const cJSON *snapshot,
                          struct err *err)
{
    autofree char *path = xasprintf("%s/snapshots/%s.json", call->dir, tag);
    autofree char *text = json_print_pretty(snapshot);
    autoclose int fd = open_inside(call, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be written", path);
    return 0;
}

/* The VMs' disks as they are now become the snapshot. */
static void handle_save(struct call *call, const char *tag, struct answer *answer)
{
    autoerr struct err err = ERR_INIT;
    struct placemat *placemat = call->placemat;
    if (!snapshot_tag_valid(tag)) {
        answer_text(answer, 400, "text/plain", "no such tag can be made\n");
        return;
    }
    autojson cJSON *snapshot = snapshot_json(tag);
    int result = 0;
    pthread_mutex_lock(&placemat->lock);
    discover_nodes(call);
    for (size_t i = 0; i < placemat->count && result == 0; i++)
        result = save_node(call, placemat->nodes[i].name, snapshot, &err);
    if (result == 0 && placemat->count == 0)
        result = err_set(&err, ERR_FAILED, "there are no nodes in '%s'", call->dir);
    pthread_mutex_unlock(&placemat->lock);
    if (result == 0)
        result = write_snapshot(call, tag, snapshot, &err);
    autofree char *text = xasprintf("%s\n", err_text(&err));
    answer_text(answer, result == 0 ? 200 : 500, "text/plain", result == 0 ? "" : text);
}

/* ---- list ---- */

/* As QEMU's monitor prints `info snapshots`. */
static void list_tag(const cJSON *snapshot, const char *tag, cJSON *lists)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_at(snapshot, "nodes"))
    {
        const char *name = json_str(item, "name");
        const char *before = name != NULL ? json_str(lists, name) : NULL;
        char when[] = "1970-01-01 00:00:00";
        const char *created = json_str_or(snapshot, "created", "");
        int64_t size = 0;
        json_i64(item, "size", &size);
        if (strlen(created) >= 19) {
            memcpy(when, created, 10);
            memcpy(when + 11, created + 11, 8);
        }
        if (name == NULL)
            continue;
        autofree char *text = xasprintf(
            "%s\n--        %-20s%5lldM %s   00:02:38.524",
            before != NULL ? before
                           : "List of snapshots present on all disks:\nID        TAG               "
                             "  VM SIZE                DATE       VM CLOCK",
            tag, (long long)(size >> 20), when);
        json_set_str(lists, name, text);
    }
}

static void handle_snapshots(struct call *call, struct answer *answer)
{
    struct placemat *placemat = call->placemat;
    autostrv struct strv files = STRV_INIT;
    cJSON *lists = json_object();
    list_folder(call, "snapshots", &files);
    for (size_t i = 0; i < files.len; i++) {
        autoerr struct err ignored = ERR_INIT;
        autojson cJSON *snapshot = NULL;
        autofree char *tag = xstrdup(files.items[i]);
        if (!text_ends(tag, ".json"))
            continue;
        tag[strlen(tag) - strlen(".json")] = '\0';
        if (read_snapshot(call, files.items[i], &snapshot, &ignored) == 0)
            list_tag(snapshot, tag, lists);
    }
    pthread_mutex_lock(&placemat->lock);
    discover_nodes(call);
    for (size_t i = 0; i < placemat->count; i++) {
        if (cJSON_GetObjectItemCaseSensitive(lists, placemat->nodes[i].name) == NULL)
            json_set_str(lists, placemat->nodes[i].name, "There is no snapshot available.");
    }
    pthread_mutex_unlock(&placemat->lock);
    answer_json(answer, 200, lists);
}

/* ---- nodes ---- */

static cJSON *node_json(const struct node *node)
{
    cJSON *json = json_object();
    autofree char *socket = xasprintf("/tmp/%s.socket", node->name);
    json_set_str(json, "name", node->name);
    json_set_str(json_set_object(json, "taps"), "internet", "pm0");
    json_push_str(json_set_array(json, "volumes"), "root");
    json_set_i64(json, "cpu", 2);
    json_set_str(json, "memory", "4G");
    json_set_bool(json, "uefi", false);
    cJSON *smbios = json_set_object(json, "smbios");
    json_set_str(smbios, "manufacturer", "");
    json_set_str(smbios, "product", "");
    json_set_str(smbios, "serial", sha256(node->name, strlen(node->name)).text);
    json_set_bool(json, "is_running", node->running);
    json_set_str(json, "socket_path", socket);
    return json;
}

static void handle_nodes(struct call *call, struct answer *answer)
{
    struct placemat *placemat = call->placemat;
    cJSON *list = json_array();
    pthread_mutex_lock(&placemat->lock);
    discover_nodes(call);
    for (size_t i = 0; i < placemat->count; i++)
        json_push(list, node_json(&placemat->nodes[i]));
    pthread_mutex_unlock(&placemat->lock);
    answer_json(answer, 200, list);
}

/* A VM that was switched on again boots from its disk, which does not bring back what was in its
 * memory: a cluster that lost all of its VMs comes back with a snapshot only. */
static void switch_node(struct placemat *placemat, struct node *node, const char *action)
{
    node->running = strcmp(action, "stop") != 0 && !node->hangs;
    for (size_t i = 0; i < placemat->count; i++) {
        if (placemat->nodes[i].running)
            return;
    }
    end_cluster(placemat);
}

static void handle_node(struct call *call, const struct strv *parts, struct answer *answer)
{
    struct placemat *placemat = call->placemat;
    const char *action = parts->len == 5 ? parts->items[4] : NULL;
    pthread_mutex_lock(&placemat->lock);
    discover_nodes(call);
    struct node *node = find_node(placemat, parts->items[3]);
    if (node == NULL) {
        answer_text(answer, 404, "text/plain", "there is no such node\n");
    } else if (action == NULL) {
        answer_json(answer, 200, node_json(node));
    } else if (strcmp(action, "start") == 0 || strcmp(action, "stop") == 0 ||
               strcmp(action, "restart") == 0) {
        switch_node(placemat, node, action);
        answer_text(answer, 200, "text/plain", "");
    } else {
        answer_text(answer, 400, "text/plain", "there is no such action\n");
    }
    pthread_mutex_unlock(&placemat->lock);
}

/* ---- cluster ---- */

static void handle_kubeconfig(struct call *call, struct answer *answer)
{
    struct placemat *placemat = call->placemat;
    pthread_mutex_lock(&placemat->lock);
    autofree char *text = placemat->cluster != NULL ? cluster_kubeconfig(placemat->cluster) : NULL;
    pthread_mutex_unlock(&placemat->lock);
    if (text != NULL)
        answer_text(answer, 200, "application/yaml", text);
    else
        answer_text(answer, 404, "text/plain", "there is no cluster\n");
}

static void handle_cluster(struct call *call, struct answer *answer)
{
    struct placemat *placemat = call->placemat;
    cJSON *json = NULL;
    pthread_mutex_lock(&placemat->lock);
    if (placemat->cluster != NULL) {
        json = json_object();
        json_set_str(json, "name", cluster_name(placemat->cluster));
        json_set_str(json, "version", placemat->version);
        cJSON *nodes = json_set_array(json, "nodes");
        for (size_t i = 0; i < placemat->count; i++) {
            cJSON *node = json_object();
            json_set_str(node, "hostname", placemat->nodes[i].name);
            json_set_bool(node, "control_plane", i == 0);
            json_push(nodes, node);
        }
    }
    pthread_mutex_unlock(&placemat->lock);
    if (json != NULL)
        answer_json(answer, 200, json);
    else
        answer_text(answer, 404, "text/plain", "there is no cluster\n");
}

/* ---- routes, below /emulator/placemat ---- */

static void handle_snapshot(struct call *call, struct answer *answer)
{
    const struct strv *parts = &call->request->parts;
    const char *tag = request_query(call->request, "tag");
    const char *action = parts->len == 4 ? parts->items[3] : "";
    bool post = request_is(call->request, "POST");
    if (parts->len == 3 && !post)
        handle_snapshots(call, answer);
    else if (post && tag != NULL && strcmp(action, "load") == 0)
        handle_load(call, tag, answer);
    else if (post && tag != NULL && strcmp(action, "save") == 0)
        handle_save(call, tag, answer);
    else
        answer_text(answer, 404, "text/plain", "there is no such call\n");
}

static void handle_call(struct call *call, struct answer *answer)
{
    const struct strv *parts = &call->request->parts;
    const char *what = parts->len > 2 ? parts->items[2] : "";
    if (call->root < 0)
        answer_text(answer, 404, "text/plain", "the machine is not running\n");
    else if (call->dir == NULL || call->dir[0] != '/')
        answer_text(answer, 400, "text/plain", "the data folder is missing\n");
    else if (strcmp(what, "snapshots") == 0)
        handle_snapshot(call, answer);
    else if (strcmp(what, "nodes") == 0 && parts->len == 3)
        handle_nodes(call, answer);
    else if (strcmp(what, "nodes") == 0 && (parts->len == 4 || parts->len == 5))
        handle_node(call, parts, answer);
    else if (strcmp(what, "kubeconfig") == 0)
        handle_kubeconfig(call, answer);
    else if (strcmp(what, "cluster") == 0)
        handle_cluster(call, answer);
    else
        answer_text(answer, 404, "text/plain", "there is no such call\n");
}

void placemat_handle(struct machine *machine, const struct request *request, struct answer *answer)
{
    struct call call = {.machine = machine,
                        .placemat = &machine->placemat,
                        .request = request,
                        .dir = request_query(request, "dir"),
                        .root = open_root(machine)};
    handle_call(&call, answer);
    for (size_t i = 0; i < call.console.len; i++)
        console_say(machine, "%s", call.console.items[i]);
    strv_clear(&call.console);
    close_fdp(&call.root);
}
