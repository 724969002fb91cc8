/* The virtual data centre: what is in a snapshot, and what becomes of it when it is loaded. This
 * program is also pmctl and ckecli, by its name. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "emulator/google/compute.h"
#include "emulator/machine/internal.h"
#include "inside.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define NODES       3
#define IMAGE_BYTES ((uint64_t)8 << 20)

/* ---- the rest of the emulator ---- */

struct emu {
    struct emu_config config;
    char *data_dir;
    struct server *server;
    struct listener *listener;
    struct machines *machines;
};

struct cluster {
    char *name, *version, *argocd_version, *nodes, *ca_cert_pem, *ca_key_pem;
};

static struct emu the;
static char self[4096]; /* this program */
static pthread_mutex_t serial_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf serial;
static struct cluster *running; /* the one cluster there may be */
static int started, stopped;

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
    (void)emu;
    return "http://127.0.0.1:1";
}

struct compute *emu_compute(struct emu *emu)
{
    (void)emu;
    return NULL;
}

struct clusters *emu_clusters(struct emu *emu)
{
    (void)emu;
    return NULL;
}

void compute_serial_write(struct compute *compute, const char *instance_id, int port,
                          const char *data, size_t len)
{
    (void)compute;
    assert_string_equal(instance_id, "42");
    assert_int_equal(port, 1);
    pthread_mutex_lock(&serial_lock);
    buf_add(&serial, data, len);
    pthread_mutex_unlock(&serial_lock);
}

int cluster_start(struct clusters *clusters, const struct cluster_spec *spec, struct cluster **out,
                  struct err *err)
{
    (void)clusters;
    (void)err;
    assert_null(running);
    running = xcalloc(1, sizeof *running);
    running->name = xstrdup(spec->name);
    running->version = xstrdup(spec->version);
    running->argocd_version = spec->argocd_version != NULL ? xstrdup(spec->argocd_version) : NULL;
    running->nodes = strv_join(spec->nodes, " ");
    running->ca_cert_pem = xstrdup(spec->ca_cert_pem);
    running->ca_key_pem = xstrdup(spec->ca_key_pem);
    *out = running;
    started++;
    return 0;
}

void cluster_stop(struct cluster *cluster)
{
    assert_ptr_equal(cluster, running);
    free(cluster->name);
    free(cluster->version);
    free(cluster->argocd_version);
    free(cluster->nodes);
    free(cluster->ca_cert_pem);
    free(cluster->ca_key_pem);
    free(steal(running));
    stopped++;
}

const char *cluster_name(const struct cluster *cluster)
{
    return cluster->name;
}

char *cluster_kubeconfig(struct cluster *cluster)
{
    return xasprintf("kind: Config # %s\n", cluster->name);
}

/* ---- helpers ---- */

static void handle(void *service, const struct request *request, struct answer *answer)
{
    machine_handle(((struct emu *)service)->machines, "42", request, answer);
}

/* A path of the machine's, as seen from outside. */
static char *inside(const char *path)
{
    bool namespaces = atomic_load(&the.machines->confinement) == CONFINE_NAMESPACES;
    return xasprintf("%s/machines/42/%s/%s", the.data_dir, namespaces ? "disk" : "root", path);
}

static void write_snapshot(const char *dir, const char *tag)
{
    struct err err = ERR_INIT;
    struct snapshot_spec spec = {.dir = dir,
                                 .tag = tag,
                                 .nodes = NODES,
                                 .kubernetes_version = "v1.27.16",
                                 .argocd_version = "v2.14.21",
                                 .image_bytes = IMAGE_BYTES};
    if (placemat_write_snapshot(&spec, &err) < 0)
        fail_msg("%s", err_text(&err));
}

static void boot(void)
{
    struct err err = ERR_INIT;
    struct machine_spec spec = {
        .instance_id = "42", .name = "neco-ops", .metadata_port = listener_port(the.listener)};
    if (machine_boot(the.machines, &spec, &err) < 0)
        fail_msg("%s", err_text(&err));
}

/* A machine that is up, with the snapshot `init` on its disk. */
static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct server_config config = {.request_log = NULL};
    struct listener_spec spec = {.name = "metadata m", .handler = handle, .service = &the};
    (void)state;
    started = stopped = 0;
    buf_init(&serial, BUF_MEDIUM);
    the.config.run_startup_scripts = true;
    the.config.program = self;
    assert_int_equal(fs_make_temp_dir("/tmp", "placemat-", &the.data_dir, &err), 0);
    assert_int_equal(server_new(&config, &the.server, &err), 0);
    assert_int_equal(listener_start(the.server, &spec, &the.listener, &err), 0);
    assert_int_equal(machines_new(&the, &the.machines, &err), 0);
    boot();
    char *disk = inside("var/scratch/placemat");
    write_snapshot(disk, "init");
    free(disk);
    char *host = xasprintf("127.0.0.1:%u", (unsigned int)listener_port(the.listener));
    setenv("GCE_METADATA_HOST", host, 1);
    free(host);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    server_stop(the.server);
    machines_free(the.machines);
    assert_null(running);
    server_free(the.server);
    assert_int_equal(fs_remove_tree(the.data_dir, &err), 0);
    free(the.data_dir);
    buf_clear(&serial);
    return 0;
}

/* Runs a command of the machine (this program, by another name): its status; what it said. */
static int run(char **said, const char *tool, ...)
{
    char *argv[16] = {(char *)(uintptr_t)tool};
    int out[2];
    va_list args;
    va_start(args, tool);
    for (size_t i = 1; i < 15 && (argv[i] = va_arg(args, char *)) != NULL; i++)
        ;
    va_end(args);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        dup2(out[1], 2);
        execv(self, argv);
        _exit(127);
    }
    close(out[1]);
    struct buf text = BUF_INIT(BUF_MEDIUM);
    char block[4096];
    for (ssize_t n; (n = read(out[0], block, sizeof block)) > 0;)
        buf_add(&text, block, (size_t)n);
    close(out[0]);
    int status;
    waitpid(pid, &status, 0);
    *said = buf_steal(&text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void expect_run(int status, const char *text, const char *tool, const char *a, const char *b,
                       const char *c, const char *d)
{
    char *said;
    int actual = run(&said, tool, a, b, c, d, NULL);
    if (actual != status || (text != NULL && strstr(said, text) == NULL))
        fail_msg("%s %s: status %d, said:\n%s", tool, a, actual, said);
    if (text == NULL)
        assert_string_equal(said, "");
    free(said);
}

static bool console_has(const char *text)
{
    pthread_mutex_lock(&serial_lock);
    bool has = strstr(serial.data, text) != NULL;
    pthread_mutex_unlock(&serial_lock);
    return has;
}

static void change_byte(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char c;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 1);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* ---- the snapshot's files ---- */

static void test_snapshot_files(void **state)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT(BUF_MEDIUM);
    cJSON *json = NULL;
    char *dir;
    (void)state;
    assert_int_equal(fs_make_temp_dir("/tmp", "snapshot-", &dir, &err), 0);
    write_snapshot(dir, "init");
    char *path = path_join(dir, "snapshots/init.json");
    assert_int_equal(fs_read(path, &text, &err), 0);
    assert_int_equal(json_parse(text.data, text.len, "x", &json, &err), 0);
    assert_string_equal(json_str(json, "tag"), "init");
    assert_int_equal(cJSON_GetArraySize(json_at(json, "nodes")), NODES);
    assert_string_equal(json_str(json, "nodes[1].name"), "rack0-cs2");
    assert_string_equal(json_str(json, "nodes[1].image"), "volumes/rack0-cs2/root.img");
    for (int i = 0; i < NODES; i++) {
        struct stat st;
        char *image = xasprintf("%s/volumes/rack0-cs%d/root.img", dir, i + 1);
        assert_int_equal(stat(image, &st), 0);
        assert_int_equal(st.st_size, IMAGE_BYTES);
        /* Half of it is holes. */
        assert_true((uint64_t)st.st_blocks * 512 < IMAGE_BYTES * 6 / 10);
        free(image);
    }
    assert_int_equal(fs_remove_tree(dir, &err), 0);
    cJSON_Delete(json);
    buf_clear(&text);
    free(path);
    free(dir);
}

static void test_snapshot_spec(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct snapshot_spec spec = {.dir = "/nonexistent",
                                 .tag = "a/b",
                                 .nodes = 1,
                                 .kubernetes_version = "v1",
                                 .image_bytes = IMAGE_BYTES};
    assert_int_equal(placemat_write_snapshot(&spec, &err), -1);
    assert_string_equal(err_text(&err), "'a/b' is no tag");
    spec.tag = "init";
    spec.nodes = 0;
    assert_int_equal(placemat_write_snapshot(&spec, &err), -1);
    assert_string_equal(err_text(&err), "a snapshot has 1 to 1000 nodes, not 0");
    spec.nodes = 1;
    spec.image_bytes = 4096;
    assert_int_equal(placemat_write_snapshot(&spec, &err), -1);
    assert_string_equal(err_text(&err), "an image has 4 MiB to 16 TiB");
    assert_int_equal(err.code, ERR_USAGE);
    err_clear(&err);
}

/* ---- load ---- */

static X509 *certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return cert;
}

static void test_load_starts_the_cluster(void **state)
{
    (void)state;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_non_null(running);
    assert_string_equal(running->name, "neco-ops");
    assert_string_equal(running->version, "v1.27.16");
    assert_string_equal(running->argocd_version, "v2.14.21");
    assert_string_equal(running->nodes, "rack0-cs1 rack0-cs2 rack0-cs3");
    X509 *cert = certificate(running->ca_cert_pem);
    BIO *bio = BIO_new_mem_buf(running->ca_key_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    assert_non_null(key);
    assert_int_equal(X509_check_private_key(cert, key), 1);
    assert_int_equal(X509_check_ca(cert), 1);
    assert_int_equal(X509_verify(cert, key), 1);
    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(cert);
    expect_run(0, "kind: Config # neco-ops\n", "ckecli", "kubernetes", "issue", NULL, NULL);
    expect_run(0, "\"version\": \"v1.27.16\"", "ckecli", "cluster", "get", NULL, NULL);
    expect_run(0, "\"is_running\": true", "pmctl", "node", "show", "rack0-cs1", NULL);
}

static void test_first_state_again(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    char *ca = xstrdup(running->ca_cert_pem);
    /* Another snapshot is put in its place: nothing changes until it is loaded. */
    char *disk = inside("var/scratch/placemat");
    assert_int_equal(fs_remove_tree(disk, &err), 0);
    write_snapshot(disk, "init");
    free(disk);
    assert_string_equal(running->ca_cert_pem, ca);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_int_equal(started, 2);
    assert_int_equal(stopped, 1);
    assert_string_not_equal(running->ca_cert_pem, ca);
    free(ca);
}

static void test_missing_tag_is_not_reported(void **state)
{
    (void)state;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "absent", NULL);
    assert_null(running);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "../init", NULL);
    assert_int_equal(started, 1);
    assert_int_equal(stopped, 0);
    assert_false(console_has("placemat"));
}

static void test_wrong_byte_is_no_cluster(void **state)
{
    (void)state;
    char *image = inside("var/scratch/placemat/volumes/rack0-cs2/root.img");
    /* In a hole, far from anything that is looked at. */
    change_byte(image, (off_t)IMAGE_BYTES - 5);
    free(image);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_null(running);
    assert_true(console_has("placemat: node rack0-cs2 hangs after loadvm: "));
    assert_true(console_has("its SHA-256 is "));
    expect_run(0, "\"is_running\": false", "pmctl", "node", "show", "rack0-cs2", NULL);
    expect_run(0, "\"is_running\": true", "pmctl", "node", "show", "rack0-cs1", NULL);
    expect_run(1, "ckecli: there is no cluster\n", "ckecli", "kubernetes", "issue", NULL, NULL);
    /* It does not come back by switching it on. */
    expect_run(0, NULL, "pmctl", "node", "action", "start", "rack0-cs2");
    expect_run(0, "\"is_running\": false", "pmctl", "node", "show", "rack0-cs2", NULL);
}

static void test_missing_image(void **state)
{
    (void)state;
    char *image = inside("var/scratch/placemat/volumes/rack0-cs3/root.img");
    assert_int_equal(unlink(image), 0);
    free(image);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_null(running);
    assert_true(console_has("rack0-cs3 hangs"));
}

static void test_broken_snapshot_file(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *path = inside("var/scratch/placemat/snapshots/init.json");
    assert_int_equal(fs_write(path, "{\"nodes\":", 9, 0644, &err), 0);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_null(running);
    assert_true(console_has("placemat: loadvm init: "));
    assert_int_equal(fs_write(path, "{\"nodes\":[]}", 12, 0644, &err), 0);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_true(console_has("names no nodes"));
    free(path);
}

/* A link inside the machine leads nowhere outside of it. */
static void test_links_stay_inside(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *outside;
    assert_int_equal(fs_make_temp_dir("/tmp", "outside-", &outside, &err), 0);
    write_snapshot(outside, "init");
    char *link = inside("var/elsewhere");
    assert_int_equal(symlink(outside, link), 0);
    setenv("PLACEMAT_DATA", "/var/elsewhere", 1);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_null(running);
    unsetenv("PLACEMAT_DATA");
    assert_int_equal(fs_remove_tree(outside, &err), 0);
    free(outside);
    free(link);
}

static void test_another_folder(void **state)
{
    (void)state;
    char *disk = inside("home/dc");
    write_snapshot(disk, "other");
    free(disk);
    setenv("PLACEMAT_DATA", "/home/dc", 1);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "other", NULL);
    unsetenv("PLACEMAT_DATA");
    assert_non_null(running);
}

/* ---- list, save, nodes ---- */

static void test_snapshot_list(void **state)
{
    (void)state;
    char *said;
    struct err err = ERR_INIT;
    cJSON *json = NULL;
    assert_int_equal(run(&said, "pmctl", "snapshot", "list", NULL), 0);
    assert_int_equal(json_parse(said, strlen(said), "x", &json, &err), 0);
    assert_int_equal(cJSON_GetArraySize(json), NODES);
    const char *text = json_str(json, "rack0-cs1");
    assert_non_null(text);
    assert_true(text_starts(text, "List of snapshots present on all disks:\nID        TAG "));
    assert_non_null(strstr(text, "\n--        init                    8M "));
    cJSON_Delete(json);
    free(said);
}

static void test_save_and_load(void **state)
{
    (void)state;
    char *said;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    expect_run(0, NULL, "pmctl", "snapshot", "save", "later", NULL);
    assert_int_equal(run(&said, "pmctl", "snapshot", "list", NULL), 0);
    assert_non_null(strstr(said, "--        init "));
    assert_non_null(strstr(said, "--        later "));
    free(said);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "later", NULL);
    assert_int_equal(started, 2);
    expect_run(1, "pmctl: no such tag can be made\n", "pmctl", "snapshot", "save", "a/b", NULL);
}

static void test_nodes(void **state)
{
    (void)state;
    expect_run(0, "rack0-cs1\nrack0-cs2\nrack0-cs3\n", "pmctl", "node", "list", NULL, NULL);
    expect_run(0, "\"volumes\"", "pmctl", "node", "list", "--json", NULL);
    expect_run(1, "pmctl: there is no such node\n", "pmctl", "node", "show", "x", NULL);
    expect_run(1, "pmctl: there is no such action\n", "pmctl", "node", "action", "jump",
               "rack0-cs1");
    expect_run(0, NULL, "pmctl", "pod", "list", NULL, NULL);
    expect_run(1, "usage: pmctl", "pmctl", "net", "action", NULL, NULL);
    expect_run(1, "usage: ckecli", "ckecli", "sabakan", NULL, NULL, NULL);
}

static void test_last_node_takes_the_cluster_along(void **state)
{
    (void)state;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    expect_run(0, NULL, "pmctl", "node", "action", "stop", "rack0-cs1");
    expect_run(0, NULL, "pmctl", "node", "action", "stop", "rack0-cs2");
    assert_non_null(running);
    expect_run(0, NULL, "pmctl", "node", "action", "stop", "rack0-cs3");
    assert_null(running);
    expect_run(1, "ckecli: there is no cluster\n", "ckecli", "kubernetes", "issue", NULL, NULL);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_non_null(running);
}

/* ---- the machine's end ---- */

static void test_cluster_ends_with_the_machine(void **state)
{
    (void)state;
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    machine_stop(the.machines, "42", false);
    assert_null(running);
    expect_run(1, "pmctl: the machine is not running\n", "pmctl", "snapshot", "load", "init", NULL);
    boot();
    assert_null(running);
    expect_run(0, NULL, "pmctl", "snapshot", "load", "init", NULL);
    assert_non_null(running);
    machine_stop(the.machines, "42", true);
    assert_null(running);
    expect_run(1, "pmctl: the machine is not running\n", "pmctl", "node", "list", NULL, NULL);
}

static void test_outside_of_a_machine(void **state)
{
    (void)state;
    unsetenv("GCE_METADATA_HOST");
    expect_run(1,
               "pmctl: GCE_METADATA_HOST is not set: this command runs inside an emulated "
               "instance\n",
               "pmctl", "node", "list", NULL, NULL);
    setenv("GCE_METADATA_HOST", "127.0.0.1:1", 1);
    expect_run(1, "pmctl: '127.0.0.1:1' cannot be reached", "pmctl", "node", "list", NULL, NULL);
}

int main(int argc, char **argv)
{
    if (placemat_is_command(argv[0]))
        return placemat_command_main(argc, argv);
    if (realpath(argv[0], self) == NULL)
        return 2;
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        cmocka_unit_test(test_snapshot_files),
        cmocka_unit_test(test_snapshot_spec),
        TEST(test_load_starts_the_cluster),
        TEST(test_first_state_again),
        TEST(test_missing_tag_is_not_reported),
        TEST(test_wrong_byte_is_no_cluster),
        TEST(test_missing_image),
        TEST(test_broken_snapshot_file),
        TEST(test_links_stay_inside),
        TEST(test_another_folder),
        TEST(test_snapshot_list),
        TEST(test_save_and_load),
        TEST(test_nodes),
        TEST(test_last_node_takes_the_cluster_along),
        TEST(test_cluster_ends_with_the_machine),
        TEST(test_outside_of_a_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
