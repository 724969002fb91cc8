#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/strv.h"

static const struct run real = {.clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE};

struct outcome {
    struct proc_result result;
    struct err err;
    int returned;
};

static void clear(struct outcome *o)
{
    buf_clear(&o->result.out);
    buf_clear(&o->result.error);
    err_clear(&o->err);
}

#define autooutcome CLEANUP(clear)

static struct outcome run_spec(const struct run *run, const struct proc_spec *spec)
{
    struct outcome o = {.result = {.status = -1, .out = BUF_INIT(1000), .error = BUF_INIT(1000)}};

    o.returned = proc_run(run, spec, &o.result, &o.err);
    return o;
}

static struct outcome sh(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    return run_spec(&real, &(struct proc_spec){.argv = argv});
}

static int open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void output_and_status_come_back(void **state)
{
    autooutcome struct outcome o = sh("echo out; echo error >&2; exit 7");

    (void)state;
    assert_ok(o.returned, o.err);
    assert_int_equal(o.result.status, 7);
    assert_string_equal(o.result.out.data, "out\n");
    assert_string_equal(o.result.error.data, "error\n");
}

static void a_signal_is_a_status_too(void **state)
{
    autooutcome struct outcome o = sh("kill -KILL $$");

    (void)state;
    assert_ok(o.returned, o.err);
    assert_int_equal(o.result.status, 137);
}

static void input_reaches_the_child(void **state)
{
    static const char *const argv[] = {"cat", NULL};
    autooutcome struct outcome o =
        run_spec(&real, &(struct proc_spec){.argv = argv, .input = "a\0b", .input_len = 3});

    (void)state;
    assert_ok(o.returned, o.err);
    assert_int_equal(o.result.out.len, 3);
    assert_memory_equal(o.result.out.data, "a\0b", 3);
}

/* More than a pipe holds, to a child that does not read it: no block, no SIGPIPE. */
static void large_input_may_be_left_unread(void **state)
{
    static const char *const unread[] = {"true", NULL};
    static const char *const counted[] = {"wc", "-c", NULL};
    size_t len = 3 << 20;
    autofree char *input = xcalloc(len, 1);
    autooutcome struct outcome a =
        run_spec(&real, &(struct proc_spec){.argv = unread, .input = input, .input_len = len});
    autooutcome struct outcome b =
        run_spec(&real, &(struct proc_spec){.argv = counted, .input = input, .input_len = len});

    (void)state;
    assert_ok(a.returned, a.err);
    assert_int_equal(a.result.status, 0);
    assert_string_equal(b.result.out.data, "3145728\n");
}

static void without_input_there_is_its_end(void **state)
{
    static const char *const argv[] = {"cat", NULL};
    autooutcome struct outcome o = run_spec(&real, &(struct proc_spec){.argv = argv});

    (void)state;
    assert_ok(o.returned, o.err);
    assert_string_equal(o.result.out.data, "");
}

static void output_beyond_the_cap_is_dropped(void **state)
{
    autooutcome struct outcome o = sh("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2");

    (void)state;
    assert_ok(o.returned, o.err);
    assert_int_equal(o.result.status, 0);
    assert_int_equal(o.result.out.len, 1000);
    assert_true(o.result.out.overflowed);
    assert_int_equal(strspn(o.result.out.data, "x"), 1000);
    assert_string_equal(o.result.error.data, "end\n");
    assert_false(o.result.error.overflowed);
}

static void a_result_may_be_used_again(void **state)
{
    const char *const argv[] = {"echo", "x", NULL};
    struct proc_spec spec = {.argv = argv};
    autooutcome struct outcome o = run_spec(&real, &spec);

    (void)state;
    assert_ok(proc_run(&real, &spec, &o.result, &o.err), o.err);
    assert_string_equal(o.result.out.data, "x\n");
}

static void both_streams_in_one(void **state)
{
    static const char *const argv[] = {"sh", "-c", "echo a; echo b >&2; echo c", NULL};
    autooutcome struct outcome o =
        run_spec(&real, &(struct proc_spec){.argv = argv, .merge_stderr = true});

    (void)state;
    assert_ok(o.returned, o.err);
    assert_string_equal(o.result.out.data, "a\nb\nc\n");
    assert_string_equal(o.result.error.data, "");
}

static void folder_and_environment_are_the_childs(void **state)
{
    static const char *const argv[] = {"sh", "-c", "pwd; echo $A", NULL};
    static const char *const variables[] = {"PATH=relative:/usr/bin:/bin", "A=b", NULL};
    autooutcome struct outcome o =
        run_spec(&real, &(struct proc_spec){.argv = argv, .dir = "/", .environ = variables});
    struct run run = real;
    autooutcome struct outcome p;

    (void)state;
    assert_ok(o.returned, o.err);
    assert_string_equal(o.result.out.data, "/\nb\n");
    run.environ = variables;
    p = run_spec(&run, &(struct proc_spec){.argv = argv, .dir = "/"});
    assert_string_equal(p.result.out.data, "/\nb\n");
}

static void fails(const struct proc_spec *spec, enum err_code code, const char *message)
{
    autooutcome struct outcome o = run_spec(&real, spec);

    assert_int_equal(o.returned, -1);
    assert_err(o.err, code, message);
    assert_int_equal(o.result.status, -1);
}

static void what_cannot_be_started_is_named(void **state)
{
    static const char *const missing[] = {"no-such-command", NULL};
    static const char *const no_file[] = {"./no/such/file", NULL};
    static const char *const folder[] = {"/etc", NULL};
    static const char *const no_program[] = {"/etc/passwd", NULL};
    static const char *const fine[] = {"true", NULL};
    static const char *const nowhere[] = {"PATH=/nowhere", NULL};

    (void)state;
    fails(&(struct proc_spec){.argv = missing}, ERR_NOT_FOUND,
          "command 'no-such-command' not found");
    fails(&(struct proc_spec){.argv = no_file}, ERR_NOT_FOUND,
          "command './no/such/file' not found");
    fails(&(struct proc_spec){.argv = fine, .environ = nowhere}, ERR_NOT_FOUND,
          "command 'true' not found");
    fails(&(struct proc_spec){.argv = folder}, ERR_FAILED, "cannot run '/etc': Permission denied");
    fails(&(struct proc_spec){.argv = no_program}, ERR_FAILED,
          "cannot run '/etc/passwd': Permission denied");
    fails(&(struct proc_spec){.argv = fine, .dir = "/no/such"}, ERR_NOT_FOUND,
          "cannot run 'true' in '/no/such': No such file or directory");
}

static void check_tells_the_last_line(void **state)
{
    static const struct {
        const char *script;
        const char *message;
    } rows[] = {
        {"echo first >&2; printf 'last\\033 line\\n\\n' >&2; echo out; exit 3",
         "'sh' ended with status 3: last\\x1b line"},
        {"echo only out; exit 4", "'sh' ended with status 4: only out"},
        {"exit 5", "'sh' ended with status 5"},
        {"echo '  ' >&2; exit 6", "'sh' ended with status 6"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const argv[] = {"sh", "-c", rows[i].script, NULL};
        autooutcome struct outcome o = {.result = {.out = BUF_INIT(1000), .error = BUF_INIT(1000)}};

        assert_int_equal(proc_check(&real, &(struct proc_spec){.argv = argv}, &o.result, &o.err),
                         -1);
        assert_err(o.err, ERR_FAILED, rows[i].message);
    }
}

static bool is_gone(const char *pid_text)
{
    pid_t pid = (pid_t)strtol(pid_text, NULL, 10);

    assert_true(pid > 1);
    for (int i = 0; i < 200; i++) {
        if (kill(pid, 0) < 0 && errno == ESRCH)
            return true;
        usleep(10000); /* its new parent reaps it soon; if nobody does, it shows as a zombie */
    }
    return false;
}

/* Dead, or dead and not yet reaped by whoever inherited it. */
static bool has_ended(const char *pid_text)
{
    autofree char *path = xasprintf("/proc/%ld/stat", strtol(pid_text, NULL, 10));
    autobuf struct buf stat = BUF_INIT(4096);
    autoerr struct err err = ERR_INIT;

    if (fs_read(path, &stat, &err) < 0)
        return true;
    return strstr(stat.data, ") Z ") != NULL || is_gone(pid_text);
}

/* How long it took to end what would not end by itself. */
static int64_t time_to_end_a_group(void)
{
    static const char *const argv[] = {"sh", "-c", "sleep 100 & echo $!; sleep 100", NULL};
    int64_t before = run_mono_ms(&real);
    autooutcome struct outcome o =
        run_spec(&real, &(struct proc_spec){.argv = argv, .timeout_ms = 200});
    int64_t took = run_mono_ms(&real) - before;

    assert_int_equal(o.returned, -1);
    assert_err(o.err, ERR_TIMEOUT, "timed out waiting for 'sh' to end");
    assert_true(has_ended(o.result.out.data));
    return took;
}

/* SIGTERM is enough: at once or, on a machine that has other things to do, at least once. */
static void a_timeout_ends_the_whole_group(void **state)
{
    int tries = 0;

    (void)state;
    while (time_to_end_a_group() >= 1900)
        assert_true(++tries < 5);
}

static void who_ignores_sigterm_is_killed(void **state)
{
    static const char *const argv[] = {"sh", "-c", "trap '' TERM; echo $$; sleep 100; sleep 100",
                                       NULL};
    int64_t before = run_mono_ms(&real);
    autooutcome struct outcome o =
        run_spec(&real, &(struct proc_spec){.argv = argv, .timeout_ms = 200});

    (void)state;
    assert_int_equal(o.returned, -1);
    assert_err(o.err, ERR_TIMEOUT, "timed out waiting for 'sh' to end");
    assert_true(run_mono_ms(&real) - before >= 2000);
    assert_true(is_gone(o.result.out.data));
}

static void who_outlives_its_parent_is_ended(void **state)
{
    int64_t before = run_mono_ms(&real);
    autooutcome struct outcome o = sh("sleep 100 & echo $!");

    (void)state;
    assert_ok(o.returned, o.err);
    assert_int_equal(o.result.status, 0);
    assert_true(run_mono_ms(&real) - before < 5000); /* did not wait for the pipe's end */
    assert_true(has_ended(o.result.out.data));
}

static void a_signal_to_the_run_ends_the_child(void **state)
{
    static const char *const argv[] = {"sleep", "100", NULL};
    atomic_int number = SIGTERM;
    struct run run = real;
    autooutcome struct outcome o;

    (void)state;
    run.signal = &number;
    o = run_spec(&run, &(struct proc_spec){.argv = argv});
    assert_int_equal(o.returned, -1);
    assert_err(o.err, ERR_TERMINATED, "terminated");
}

static atomic_int alarmed;
static int alarm_fd;

static void on_alarm(int unused)
{
    ssize_t ignored = write(alarm_fd, "x", 1);

    (void)unused;
    (void)ignored;
    alarmed = SIGINT;
}

static int64_t time_to_wake(void)
{
    static const char *const argv[] = {"sleep", "100", NULL};
    int64_t before = run_mono_ms(&real), took;
    struct run run = real;
    autooutcome struct outcome o;
    int fds[2];

    alarmed = 0;
    assert_int_equal(pipe(fds), 0);
    alarm_fd = fds[1];
    run.signal = &alarmed;
    run.wake_fd = fds[0];
    signal(SIGALRM, on_alarm);
    ualarm(100000, 0);
    o = run_spec(&run, &(struct proc_spec){.argv = argv});
    took = run_mono_ms(&real) - before;
    signal(SIGALRM, SIG_DFL);
    assert_int_equal(o.returned, -1);
    assert_err(o.err, ERR_INTERRUPTED, "interrupted");
    close(fds[0]);
    close(fds[1]);
    return took;
}

/* At once, or on a machine that has other things to do at least once. */
static void a_signal_during_the_run_wakes_it(void **state)
{
    int tries = 0;

    (void)state;
    while (time_to_wake() >= 1900)
        assert_true(++tries < 5);
}

static void the_child_starts_with_default_signals(void **state)
{
    autooutcome struct outcome o;
    sigset_t blocked;
    sigset_t before;
    sigset_t after;
    unsigned long long child_blocks;
    unsigned long long child_ignores;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    o = sh("exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    sigprocmask(SIG_SETMASK, &before, &after);
    signal(SIGPIPE, SIG_DFL);
    assert_true(sigismember(&after, SIGUSR1)); /* ours came back */
    assert_false(sigismember(&after, SIGUSR2));
    assert_int_equal(
        sscanf(o.result.out.data, "SigBlk: %llx SigIgn: %llx", &child_blocks, &child_ignores), 2);
    assert_int_equal(child_blocks, 0);
    /* 32 and 33 are the C library's own: whoever started us may have left them ignored */
    assert_int_equal(child_ignores & ~(3ull << 31), 0);
}

static void no_descriptor_is_left_on_either_side(void **state)
{
    static const char *const missing[] = {"no-such-command", NULL};
    static const char *const slow[] = {"sleep", "100", NULL};
    int extra = dup(STDERR_FILENO); /* one that nobody marked as close-on-exec */
    int before = open_fds();

    (void)state;
    for (int i = 0; i < 5; i++) {
        autooutcome struct outcome o =
            sh("for fd in $(seq 3 99); do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done");
        autooutcome struct outcome p = run_spec(&real, &(struct proc_spec){.argv = missing});
        autooutcome struct outcome q =
            run_spec(&real, &(struct proc_spec){.argv = slow, .timeout_ms = 1});

        assert_ok(o.returned, o.err);
        assert_string_equal(o.result.out.data, "");
        assert_int_equal(p.returned, -1);
        assert_int_equal(q.returned, -1);
    }
    assert_int_equal(open_fds(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and no zombie */
    close(extra);
}

/* With 0, 1 and 2 closed, pipes get those numbers: the child's must be right all the same. */
static void closed_standard_streams_do_not_mix_up(void **state)
{
    int saved[3];
    autooutcome struct outcome o;

    (void)state;
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    o = sh("cat; echo out; echo error >&2");
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
        close(saved[fd]);
    }
    assert_ok(o.returned, o.err);
    assert_string_equal(o.result.out.data, "out\n");
    assert_string_equal(o.result.error.data, "error\n");
}

static void a_child_that_stays_is_stopped(void **state)
{
    static const char *const argv[] = {"sleep", "100", NULL};
    static const char *const missing[] = {"no-such-command", NULL};
    autoerr struct err err = ERR_INIT;
    int before = open_fds();
    pid_t pid = -1;

    (void)state;
    assert_ok(proc_start(&(struct proc_spec){.argv = argv}, &pid, &err), err);
    assert_true(pid > 0);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(pid, 0), 0);
    proc_stop(pid, 2000);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    proc_stop(0, 10);
    proc_stop(-1, 10);
    pid = 77;
    assert_int_equal(proc_start(&(struct proc_spec){.argv = missing}, &pid, &err), -1);
    assert_err(err, ERR_NOT_FOUND, "command 'no-such-command' not found");
    assert_int_equal(pid, 77);
    assert_int_equal(open_fds(), before);
}

static void stopping_what_has_ended_reaps_it(void **state)
{
    static const char *const argv[] = {"true", NULL};
    autoerr struct err err = ERR_INIT;
    pid_t pid;

    (void)state;
    assert_ok(proc_start(&(struct proc_spec){.argv = argv}, &pid, &err), err);
    usleep(50000);
    proc_stop(pid, 2000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void check_end(const char *script, int expected)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    autoerr struct err err = ERR_INIT;
    int status = -1;
    pid_t pid;

    assert_ok(proc_start(&(struct proc_spec){.argv = argv}, &pid, &err), err);
    while (!proc_ended(pid, &status))
        usleep(1000);
    assert_int_equal(status, expected);
    assert_int_equal(proc_ended(pid, &status), 1);
    proc_stop(pid, 2000);
}

static void that_one_ended_is_seen(void **state)
{
    static const char *const argv[] = {"sleep", "100", NULL};
    autoerr struct err err = ERR_INIT;
    int status = -1;
    pid_t pid;

    (void)state;
    check_end("exit 0", 0);
    check_end("exit 3", 3);
    check_end("kill -KILL $$", 128 + SIGKILL);
    assert_ok(proc_start(&(struct proc_spec){.argv = argv}, &pid, &err), err);
    assert_int_equal(proc_ended(pid, &status), 0);
    assert_int_equal(status, -1);
    proc_stop(pid, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_come_back),
        cmocka_unit_test(a_signal_is_a_status_too),
        cmocka_unit_test(input_reaches_the_child),
        cmocka_unit_test(large_input_may_be_left_unread),
        cmocka_unit_test(without_input_there_is_its_end),
        cmocka_unit_test(output_beyond_the_cap_is_dropped),
        cmocka_unit_test(a_result_may_be_used_again),
        cmocka_unit_test(both_streams_in_one),
        cmocka_unit_test(folder_and_environment_are_the_childs),
        cmocka_unit_test(what_cannot_be_started_is_named),
        cmocka_unit_test(check_tells_the_last_line),
        cmocka_unit_test(a_timeout_ends_the_whole_group),
        cmocka_unit_test(who_ignores_sigterm_is_killed),
        cmocka_unit_test(who_outlives_its_parent_is_ended),
        cmocka_unit_test(a_signal_to_the_run_ends_the_child),
        cmocka_unit_test(a_signal_during_the_run_wakes_it),
        cmocka_unit_test(the_child_starts_with_default_signals),
        cmocka_unit_test(no_descriptor_is_left_on_either_side),
        cmocka_unit_test(closed_standard_streams_do_not_mix_up),
        cmocka_unit_test(a_child_that_stays_is_stopped),
        cmocka_unit_test(stopping_what_has_ended_reaps_it),
        cmocka_unit_test(that_one_ended_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
