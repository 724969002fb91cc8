/* Machines: the startup script really runs, contained; it ends with the machine. This program is
 * also the commands inside, by its name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "emulator/google/compute.h"
#include "emulator/machine/internal.h"
#include "inside.h"
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

/* ---- the rest of the emulator ---- */

struct emu {
    struct emu_config config;
    char *data_dir;
    struct server *server;
    struct listener *listener;
    struct machines *machines;
};

static struct emu the;
static char self[4096]; /* this program */
static pthread_mutex_t serial_lock = PTHREAD_MUTEX_INITIALIZER;
static struct buf serial[SERIAL_PORTS];

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
    pthread_mutex_lock(&serial_lock);
    buf_add(&serial[port - 1], data, len);
    pthread_mutex_unlock(&serial_lock);
}

int cluster_start(struct clusters *clusters, const struct cluster_spec *spec, struct cluster **out,
                  struct err *err)
{
    (void)clusters;
    (void)spec;
    (void)out;
    return err_set(err, ERR_FAILED, "no clusters here");
}

void cluster_stop(struct cluster *cluster)
{
    (void)cluster;
}

const char *cluster_name(const struct cluster *cluster)
{
    (void)cluster;
    return "";
}

char *cluster_kubeconfig(struct cluster *cluster)
{
    (void)cluster;
    return NULL;
}

/* ---- helpers ---- */

static void handle(void *service, const struct request *request, struct answer *answer)
{
    machine_handle(((struct emu *)service)->machines, "42", request, answer);
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct server_config config = {.request_log = NULL};
    struct listener_spec spec = {.name = "metadata m", .handler = handle, .service = &the};
    (void)state;
    for (int i = 0; i < SERIAL_PORTS; i++)
        buf_init(&serial[i], BUF_MEDIUM);
    the.config.run_startup_scripts = true;
    the.config.program = self;
    the.config.log = log_new(stderr, "test", LOG_TEXT, LOG_WARNING);
    assert_int_equal(fs_make_temp_dir("/tmp", "machine-", &the.data_dir, &err), 0);
    assert_int_equal(server_new(&config, &the.server, &err), 0);
    assert_int_equal(listener_start(the.server, &spec, &the.listener, &err), 0);
    assert_int_equal(machines_new(&the, &the.machines, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    server_stop(the.server);
    machines_free(the.machines);
    server_free(the.server);
    assert_int_equal(fs_remove_tree(the.data_dir, &err), 0);
    free(the.data_dir);
    log_free(the.config.log);
    for (int i = 0; i < SERIAL_PORTS; i++)
        buf_clear(&serial[i]);
    return 0;
}

static int set_up_plain(void **state)
{
    set_up(state);
    atomic_store(&the.machines->confinement, CONFINE_LANDLOCK);
    return 0;
}

/* What a test is about must be what the kernel gives: with the other kind it has nothing to say. */
static void boot(const char *script, int ssds)
{
    enum confinement wanted = atomic_load(&the.machines->confinement);
    struct err err = ERR_INIT;
    struct machine_spec spec = {.instance_id = "42",
                                .name = "neco-ops",
                                .startup_script = script,
                                .metadata_port = listener_port(the.listener),
                                .local_ssds = ssds};
    if (machine_boot(the.machines, &spec, &err) < 0) {
        if (strstr(err_text(&err), "neither namespaces nor Landlock") == NULL)
            fail_msg("%s", err_text(&err));
        err_clear(&err);
        skip();
    }
    if (wanted == CONFINE_UNKNOWN && atomic_load(&the.machines->confinement) == CONFINE_LANDLOCK)
        skip();
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the port said so far, once `text` is in it. */
static char *await(int port, const char *text)
{
    for (int64_t end = now_ms() + 20000;;) {
        pthread_mutex_lock(&serial_lock);
        char *said = xstrdup(serial[port - 1].data);
        pthread_mutex_unlock(&serial_lock);
        if (strstr(said, text) != NULL)
            return said;
        if (now_ms() > end)
            fail_msg("port %d never said '%s' but:\n%s", port, text, said);
        free(said);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void forget(int port)
{
    pthread_mutex_lock(&serial_lock);
    buf_reset(&serial[port - 1]);
    pthread_mutex_unlock(&serial_lock);
}

static void expect(const char *said, const char *text)
{
    if (strstr(said, text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, said);
}

/* Runs the script to its end and returns what port 1 said. */
static char *run(const char *script, int ssds)
{
    boot(script, ssds);
    return await(1, "Finished running startup scripts.");
}

/* ---- tests ---- */

static void test_script_output(void **state)
{
    (void)state;
    char *said = run("#!/bin/bash\necho hello; echo oops >&2\nprintf 'no end'; exit 3\n", 0);
    expect(said, " neco-ops google_metadata_script_runner[");
    expect(said, "]: Starting startup scripts (version dev).\r\n");
    expect(said, "]: startup-script: hello\r\n");
    expect(said, "]: startup-script: oops\r\n");
    expect(said, "]: startup-script: no end\r\n");
    expect(said, "]: startup-script exit status 3\r\n");
    free(said);
}

static void test_no_script(void **state)
{
    (void)state;
    boot(NULL, 0);
    free(await(1, "No startup scripts to run."));
}

static void test_environment(void **state)
{
    (void)state;
    setenv("SECRET_TOKEN", "of the host", 1);
    char *said = run("#!/bin/bash\nenv; echo root=$(id -u); pwd; hostname; command -v pmctl\n"
                     "cat /sys/class/dmi/id/product_name; ls /proc/self/fd | wc -l\n"
                     "ls -d /opt/necoops/bin/ >/dev/null && echo programs\n",
                     0);
    unsetenv("SECRET_TOKEN");
    char *metadata =
        xasprintf("GCE_METADATA_HOST=127.0.0.1:%u\r\n", (unsigned int)listener_port(the.listener));
    expect(said, metadata);
    expect(said, "NECOOPS_EMULATOR=http://127.0.0.1:1\r\n");
    expect(said, "STORAGE_EMULATOR_HOST=http://127.0.0.1:1\r\n");
    expect(said, "HOME=/root\r\n");
    expect(said, ": root=0\r\n");
    expect(said, ": neco-ops\r\n");
    expect(said, ": /emulator/bin/pmctl\r\n");
    expect(said, ": Google Compute Engine\r\n");
    expect(said, ": programs\r\n");
    /* Only its own: 0, 1, 2 and the folder that ls reads. */
    expect(said, ": 4\r\n");
    assert_null(strstr(said, "SECRET_TOKEN"));
    free(metadata);
    free(said);
}

static void test_host_is_out_of_reach(void **state)
{
    (void)state;
    char *mark = xasprintf("%s/mark", the.data_dir);
    char *script = xasprintf("#!/bin/bash\n"
                             "echo x >%s && echo wrote-mark; mkdir -p /var/scratch && echo var\n"
                             "touch /usr/bin/x || echo usr-shut; mount -o remount,rw /usr; "
                             "touch /usr/bin/x || echo usr-still-shut\n"
                             "umount /usr 2>/dev/null; umount -l /proc/sys 2>/dev/null\n"
                             "echo x >/proc/sys/kernel/core_pattern || echo kernel-shut\n"
                             "cat /etc/shadow || echo no-shadow\n"
                             "mknod /dev/sda b 8 0 || echo no-device\n"
                             "kill -0 %d || echo no-kill\n",
                             mark, (int)getpid());
    char *said = run(script, 0);
    expect(said, ": var\r\n");
    expect(said, "usr-shut");
    expect(said, "usr-still-shut");
    expect(said, "kernel-shut");
    expect(said, "no-shadow");
    expect(said, "no-device");
    expect(said, "no-kill");
    assert_false(fs_exists(mark));
    assert_false(fs_exists("/usr/bin/x"));
    assert_false(fs_exists("/var/scratch"));
    free(said);
    free(script);
    free(mark);
}

static void test_serial_ports(void **state)
{
    (void)state;
    char *said = run("#!/bin/bash\necho '{\"line\":1}' >/dev/ttyS1; echo direct >/dev/ttyS0\n"
                     "[ -t 0 ] </dev/ttyS1 && echo a-terminal\n",
                     0);
    free(await(2, "{\"line\":1}\r\n"));
    free(await(1, "direct\r\n"));
    expect(said, "a-terminal");
    free(said);
}

static void test_disks_survive_reboot(void **state)
{
    (void)state;
    static const char script[] =
        "#!/bin/bash\nd=/dev/disk/by-id/google-local-nvme-ssd-0\nmkdir -p /var/scratch\n"
        "if [ -z \"$(blkid -o value -s TYPE $d)\" ]; then\n"
        "mount $d /var/scratch || echo unformatted=$?; mkfs.ext4 -q -F $d && echo made; fi\n"
        "mount -o noatime,discard $d /var/scratch; mountpoint -q /var/scratch && echo mounted\n"
        "cat /var/scratch/kept; echo on-ssd >/var/scratch/kept\n"
        "cat /root/kept; echo on-disk >/root/kept\n"
        "echo boot=$(cat /proc/sys/kernel/random/boot_id)\n"
        "ls /run/fresh && echo old-run; touch /run/fresh\n";
    char *first = run(script, 1);
    expect(first, "wrong fs type");
    expect(first, "unformatted=32");
    expect(first, ": made\r\n");
    expect(first, ": mounted\r\n");
    forget(1);
    char *second = run(script, 1);
    expect(second, ": mounted\r\n");
    expect(second, ": on-ssd\r\n");
    expect(second, ": on-disk\r\n");
    assert_null(strstr(second, ": made\r\n"));
    assert_null(strstr(second, "old-run"));
    char *id = strstr(first, "boot=");
    assert_non_null(id);
    id[5 + 36] = '\0';
    assert_null(strstr(second, id));
    free(first);
    free(second);
}

static void test_new_file_system_is_empty(void **state)
{
    (void)state;
    char *said = run("#!/bin/bash\nd=/dev/nvme0n2\nmkfs.ext4 -q -F $d; mkdir -p /mnt/a /mnt/b\n"
                     "mount $d /mnt/a; touch /mnt/a/old; umount /mnt/a\n"
                     "mkfs.ext4 -q -F $d; mount $d /mnt/b; ls /mnt/b/old || echo gone\n"
                     "command -v mdadm && mdadm --create /dev/md/x --run --level=0 "
                     "--raid-devices=2 /dev/nvme0n1 /dev/nvme0n2 && mkfs.ext4 -q -F /dev/md/x && "
                     "mount /dev/md/x /mnt/a && mountpoint -q /mnt/a && echo striped\n",
                     2);
    expect(said, ": gone\r\n");
    expect(said, ": striped\r\n");
    free(said);
}

static void test_stand_ins(void **state)
{
    (void)state;
    char *said = run(
        "#!/bin/bash\nr='FORWARD -d 169.254.169.254/32 -j DROP'\n"
        "iptables -w -C $r || echo absent; iptables -w -I $r; iptables -w -C $r && echo present\n"
        "ip6tables -w -C $r || echo other; iptables -S FORWARD; iptables -D $r; "
        "iptables -C $r || echo deleted\nsudo -E -u root id -u\n"
        "printf '[Service]\\nEnvironment=A=b\\nExecStart=/bin/sh -c \"echo $$A >/run/out; sleep "
        "100\"\\n' >/etc/systemd/system/x.service\nsystemctl is-active x\n"
        "systemctl enable --now x; systemctl is-active x\nsystemctl stop x; systemctl start y || "
        "echo status=$?\n",
        0);
    expect(said, ": absent\r\n");
    expect(said, ": present\r\n");
    expect(said, ": other\r\n");
    expect(said, ": -A FORWARD -d 169.254.169.254/32 -j DROP\r\n");
    expect(said, ": deleted\r\n");
    expect(said, ": 0\r\n");
    expect(said, ": inactive\r\n");
    expect(said, ": active\r\n");
    expect(said, "Unit y.service not found.");
    expect(said, ": status=5\r\n");
    free(said);
}

/* Whether any process is `sleep SECONDS`. */
static bool anyone_sleeps(const char *seconds)
{
    DIR *proc = opendir("/proc");
    bool found = false;
    for (const struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        struct err ignored = ERR_INIT;
        struct buf text = BUF_INIT(BUF_SMALL);
        char *path = xasprintf("/proc/%s/cmdline", entry->d_name);
        if (fs_read(path, &text, &ignored) == 0 && strcmp(text.data, "sleep") == 0 &&
            text.len > 6 && strcmp(text.data + 6, seconds) == 0)
            found = true;
        err_clear(&ignored);
        buf_clear(&text);
        free(path);
    }
    closedir(proc);
    return found;
}

static bool await_sleeper(const char *seconds, bool there)
{
    for (int64_t end = now_ms() + 5000; anyone_sleeps(seconds) != there && now_ms() < end;)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return anyone_sleeps(seconds) == there;
}

static void check_all_ends(void)
{
    char seconds[32];
    snprintf(seconds, sizeof seconds, "3%07d.25", (int)getpid());
    char *script = xasprintf("#!/bin/bash\ntrap '' TERM HUP\n"
                             "(setsid bash -c 'trap \"\" TERM; sleep %s & sleep %s' &)\n"
                             "nohup sleep %s >/dev/null 2>&1 & disown\necho started\nsleep %s\n",
                             seconds, seconds, seconds, seconds);
    boot(script, 0);
    free(await(1, ": started\r\n"));
    assert_true(await_sleeper(seconds, true));
    int64_t start = now_ms();
    machine_stop(the.machines, "42", false);
    assert_true(now_ms() - start < 2000);
    assert_false(anyone_sleeps(seconds));
    machine_stop(the.machines, "42", true);
    machine_stop(the.machines, "42", true);
    char *folder = xasprintf("%s/machines/42", the.data_dir);
    assert_false(fs_exists(folder));
    free(folder);
    free(script);
}

static void test_all_ends(void **state)
{
    (void)state;
    check_all_ends();
}

static void test_reboot_from_inside(void **state)
{
    (void)state;
    boot("#!/bin/bash\nif [ -e /root/again ]; then echo second boot; exit; fi\n"
         "touch /root/again; shutdown -r now; sleep 60\n",
         0);
    char *said = await(1, ": second boot\r\n");
    free(said);
}

static void test_flavor_is_needed(void **state)
{
    (void)state;
    uint16_t port = listener_port(the.listener);
    struct reply reply = http_call(port, "GET", "/emulator/placemat/nodes?dir=/x", "", "");
    assert_int_equal(reply.status, 403);
    reply_clear(&reply);
    reply = http_call(port, "GET", "/emulator/placemat/nodes?dir=/x", "Metadata-Flavor: Google\r\n",
                      "");
    assert_int_equal(reply.status, 404);
    reply_clear(&reply);
}

static void test_disabled(void **state)
{
    (void)state;
    the.config.run_startup_scripts = false;
    boot("#!/bin/bash\necho never\n", 0);
    char *folder = xasprintf("%s/machines/42", the.data_dir);
    assert_false(fs_exists(folder));
    free(folder);
}

/* ---- without namespaces ---- */

static void test_plain_script(void **state)
{
    (void)state;
    char *mark = xasprintf("%s/mark", the.data_dir);
    char *script =
        xasprintf("#!/bin/bash\necho \"at $NECOOPS_ROOT\"; mkdir -p $NECOOPS_ROOT/var/scratch\n"
                  "echo x >%s || echo shut; echo x >/tmp/x-mark || echo tmp-shut\n"
                  "touch $NECOOPS_ROOT/root/a && mv $NECOOPS_ROOT/root/a $NECOOPS_ROOT/srv/b && "
                  "echo moved\n"
                  "d=$NECOOPS_ROOT/dev/disk/by-id/google-local-nvme-ssd-0\n"
                  "mkfs.ext4 -q -F $d; mount $d $NECOOPS_ROOT/var/scratch && echo mounted\n"
                  "touch $NECOOPS_ROOT/var/scratch/x\n"
                  "echo on-two >$NECOOPS_ROOT/dev/ttyS1; command -v pmctl\n",
                  mark);
    char *said = run(script, 1);
    char *root = xasprintf(": at %s/machines/42/root\r\n", the.data_dir);
    expect(said, root);
    expect(said, ": shut\r\n");
    expect(said, ": tmp-shut\r\n");
    expect(said, ": moved\r\n");
    expect(said, ": mounted\r\n");
    expect(said, "/root/emulator/bin/pmctl\r\n");
    free(await(2, "on-two\r\n"));
    assert_false(fs_exists(mark));
    assert_false(fs_exists("/tmp/x-mark"));
    free(root);
    free(said);
    free(script);
    free(mark);
}

static void test_plain_all_ends(void **state)
{
    (void)state;
    check_all_ends();
}

/* ---- the emulator dies ---- */

static void test_killed_emulator_leaves_nothing(void **state)
{
    (void)state;
    /* skips here, not in the child, where machines cannot be confined so */
    boot("#!/bin/bash\n", 0);
    machine_stop(the.machines, "42", true);
    char seconds[32];
    snprintf(seconds, sizeof seconds, "4%07d.25", (int)getpid());
    char *flag = xasprintf("%s/started", the.data_dir);
    pid_t child = fork();
    if (child == 0) {
        char *script =
            xasprintf("#!/bin/bash\nsetsid sleep %s &\necho started\nsleep 100\n", seconds);
        boot(script, 0);
        free(await(1, ": started\r\n"));
        close(open(flag, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        pause();
        _exit(0);
    }
    while (!fs_exists(flag) && waitpid(child, NULL, WNOHANG) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(await_sleeper(seconds, true));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(await_sleeper(seconds, false));
    free(flag);
}

int main(int argc, char **argv)
{
    if (placemat_is_command(argv[0]))
        return placemat_command_main(argc, argv);
    if (realpath(argv[0], self) == NULL)
        return 2;
    const struct CMUnitTest tests[] = {
#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define PLAIN(name) cmocka_unit_test_setup_teardown(name, set_up_plain, tear_down)
        TEST(test_script_output),
        TEST(test_no_script),
        TEST(test_environment),
        TEST(test_host_is_out_of_reach),
        TEST(test_serial_ports),
        TEST(test_disks_survive_reboot),
        TEST(test_new_file_system_is_empty),
        TEST(test_stand_ins),
        TEST(test_all_ends),
        TEST(test_reboot_from_inside),
        TEST(test_flavor_is_needed),
        TEST(test_disabled),
        PLAIN(test_plain_script),
        PLAIN(test_plain_all_ends),
        TEST(test_killed_emulator_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
