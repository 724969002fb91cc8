#include "folder.h"
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "necoops/base/log.h"
#include "snapshot/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define EVENT    "{\"event\": \"STOP\", \"timestamp\": {}}\r\n"
#define DONE     "{\"return\": {}}\r\n"
#define PRINTED  "{\"return\": \"\"}\r\n"

/* A VM whose monitor gives one answer a command, and keeps what it was told. */
struct monitor {
    char path[100];
    const char *answers[6];
    int fd;
    pthread_t thread;
    struct buf seen;
    struct timespec loaded, resumed;
};

static void *serve(void *arg)
{
    struct monitor *monitor = arg;
    autoclose int fd = accept(monitor->fd, NULL, NULL);
    FILE *in = fdopen(dup(fd), "r");
    char line[500];
    int n = 0;
    send(fd, GREETING, strlen(GREETING), MSG_NOSIGNAL);
    while (monitor->answers[n] && fgets(line, sizeof(line), in)) {
        buf_adds(&monitor->seen, line);
        if (strstr(line, "loadvm"))
            clock_gettime(CLOCK_MONOTONIC, &monitor->loaded);
        if (strstr(line, "cont"))
            clock_gettime(CLOCK_MONOTONIC, &monitor->resumed);
        send(fd, monitor->answers[n], strlen(monitor->answers[n]), MSG_NOSIGNAL);
        n++;
    }
    while (!monitor->answers[n] && fgets(line, sizeof(line), in))
        buf_adds(&monitor->seen, line);
    fclose(in);
    return NULL;
}

static void monitor_start(struct monitor *monitor, const struct folder *folder, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    buf_init(&monitor->seen, BUF_SMALL);
    snprintf(monitor->path, sizeof(monitor->path), "%s/%s", folder->path, name);
    memcpy(address.sun_path, monitor->path, strlen(monitor->path) + 1);
    monitor->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(monitor->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(monitor->fd, 1), 0);
    assert_int_equal(pthread_create(&monitor->thread, NULL, serve, monitor), 0);
}

static void monitor_stop(struct monitor *monitor)
{
    shutdown(monitor->fd, SHUT_RDWR);
    pthread_join(monitor->thread, NULL);
    close(monitor->fd);
    buf_clear(&monitor->seen);
}

static int load(const struct folder *folder, const char *glob, const char *tag, int64_t ms,
                size_t *count, struct err *err)
{
    struct run run = {.clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE};
    struct run limited = run_within(&run, ms);
    autostrv struct strv sockets = STRV_INIT;
    strv_addf(&sockets, "%s/%s", folder->path, glob);
    return qmp_load(&limited, &sockets, tag, count, err);
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

static void test_all_together(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    size_t count = 0;
    struct monitor one = {.answers = {DONE, EVENT DONE, PRINTED, DONE EVENT}};
    struct monitor two = {.answers = {DONE, DONE EVENT, EVENT PRINTED, DONE}};
    monitor_start(&one, folder, "one.monitor");
    monitor_start(&two, folder, "two.monitor");
    assert_good(load(folder, "*.monitor", "init", 10000, &count, &err), err);
    assert_int_equal(count, 2);
    const char *told = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"stop\"}\n"
                       "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
                       "\"loadvm init\"}}\n{\"execute\":\"cont\"}\n";
    pthread_join(one.thread, NULL);
    pthread_join(two.thread, NULL);
    assert_string_equal(one.seen.data, told);
    assert_string_equal(two.seen.data, told);
    assert_true(is_before(&one.loaded, &two.resumed) && is_before(&two.loaded, &one.resumed));
    close(one.fd);
    close(two.fd);
    buf_clear(&one.seen);
    buf_clear(&two.seen);
}

/* One that has no such snapshot: none of them goes on. */
static void test_tag_that_one_does_not_have(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    size_t count = 0;
    struct monitor one = {.answers = {DONE, DONE, PRINTED, DONE}};
    struct monitor two = {.answers = {DONE, DONE,
                                      "{\"return\": \"Error: Snapshot 'init' does not exist in one "
                                      "or more devices\\r\\n\"}\r\n"}};
    monitor_start(&one, folder, "one.monitor");
    monitor_start(&two, folder, "two.monitor");
    assert_int_equal(load(folder, "*.monitor", "init", 10000, &count, &err), -1);
    autofree char *message =
        xasprintf("VM '%s/two.monitor': loadvm: Error: Snapshot 'init' does not exist in one or "
                  "more devices",
                  folder->path);
    assert_error(err, ERR_FAILED, message);
    pthread_join(one.thread, NULL);
    assert_null(strstr(one.seen.data, "cont"));
    close(one.fd);
    buf_clear(&one.seen);
    monitor_stop(&two);
}

static void test_monitors_that_fail(void **state)
{
    struct folder *folder = *state;
    static const struct {
        const char *answer;
        const char *message;
    } cases[] = {
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[2Jway\"}}\n",
         "qmp_capabilities: no \\x1b[2Jway"},
        {"hello\n", "does not speak QMP"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        size_t count = 0;
        struct monitor vm = {.answers = {cases[i].answer}};
        autofree char *name = xasprintf("vm%zu", i);
        monitor_start(&vm, folder, name);
        assert_int_equal(load(folder, name, "init", 10000, &count, &err), -1);
        assert_non_null(strstr(err_text(&err), cases[i].message));
        err_clear(&err);
        monitor_stop(&vm);
    }
}

static void test_nobody_there(void **state)
{
    struct folder *folder = *state;
    struct err err = ERR_INIT;
    size_t count = 0;
    assert_int_equal(load(folder, "*.monitor", "init", 300, &count, &err), -1);
    autofree char *message = xasprintf(
        "timed out waiting for the VMs: there is no monitor socket '%s/*.monitor'", folder->path);
    assert_error(err, ERR_TIMEOUT, message);
}

static void test_tags(void **state)
{
    struct folder *folder = *state;
    static const char *const tags[] = {"", "a b", "-x", "a\nquit", "a;quit"};
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct err err = ERR_INIT;
        size_t count = 0;
        assert_int_equal(load(folder, "x", tags[i], 300, &count, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        err_clear(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(test_all_together),
        folder_test(test_tag_that_one_does_not_have),
        folder_test(test_monitors_that_fail),
        folder_test(test_nobody_there),
        folder_test(test_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
