#include "unit.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "necoops/base/run.h"

/* A clock that stands still until told, or goes on by `step` at each look. */
struct hand {
    int64_t now;
    int64_t step;
};

static int64_t hand_ms(void *arg)
{
    struct hand *hand = arg;

    hand->now += hand->step;
    return hand->now;
}

#define HAND_RUN(hand)                                                                             \
    {                                                                                              \
        .clock = &(const struct clock){.wall_ms = hand_ms, .mono_ms = hand_ms, .arg = (hand)},     \
        .wake_fd = -1, .deadline = RUN_NO_DEADLINE                                                 \
    }

static const struct run real = {.clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE};

static void environment(void **state)
{
    static const char *const variables[] = {"HOME=/h", "EMPTY=", "HO=x", "A=b=c", NULL};
    struct run run = real;

    (void)state;
    assert_null(run_env(&run, "HOME"));
    run.environ = variables;
    assert_string_equal(run_env(&run, "HOME"), "/h");
    assert_string_equal(run_env(&run, "HO"), "x");
    assert_string_equal(run_env(&run, "A"), "b=c");
    assert_null(run_env(&run, "EMPTY"));
    assert_null(run_env(&run, "H"));
    assert_null(run_env(&run, "HOMER"));
}

static void the_system_clock_goes_on(void **state)
{
    int64_t before = run_mono_ms(&real);

    (void)state;
    assert_true(run_wall_ms(&real) > 1700000000000);
    usleep(5000);
    assert_true(run_mono_ms(&real) > before);
}

static void check_tells_why_a_run_ends(void **state)
{
    struct hand hand = {.now = 1000};
    struct run run = HAND_RUN(&hand);
    atomic_int number = 0;
    autoerr struct err err = ERR_INIT;

    (void)state;
    run.signal = &number;
    run.deadline = 2000;
    assert_int_equal(run_check(&run, "the cluster", &err), 0);
    hand.now = 1999;
    assert_int_equal(run_check(&run, "the cluster", &err), 0);
    hand.now = 2000;
    assert_int_equal(run_check(&run, "the cluster", &err), -1);
    assert_err(err, ERR_TIMEOUT, "timed out waiting for the cluster");
    assert_int_equal(run_check(&run, NULL, &err), -1);
    assert_err(err, ERR_TIMEOUT, "timed out");
    number = SIGINT; /* goes before the deadline */
    assert_int_equal(run_check(&run, "the cluster", &err), -1);
    assert_err(err, ERR_INTERRUPTED, "interrupted");
    number = SIGTERM;
    assert_int_equal(run_check(&run, "the cluster", &err), -1);
    assert_err(err, ERR_TERMINATED, "terminated");
}

static void remaining_is_bounded(void **state)
{
    struct hand hand = {.now = 1000};
    struct run run = HAND_RUN(&hand);

    (void)state;
    assert_int_equal(run_remaining_ms(&run, 500), 500);
    assert_int_equal(run_remaining_ms(&run, -5), 0);
    run.deadline = 1200;
    assert_int_equal(run_remaining_ms(&run, 500), 200);
    assert_int_equal(run_remaining_ms(&run, 50), 50);
    hand.now = 5000;
    assert_int_equal(run_remaining_ms(&run, 500), 0);
}

static void runs_within_a_run(void **state)
{
    struct hand hand = {.now = 1000};
    struct run run = HAND_RUN(&hand);
    atomic_int number = SIGINT;
    autoerr struct err err = ERR_INIT;
    struct run other;

    (void)state;
    run.signal = &number;
    run.wake_fd = 99;
    other = run_within(&run, 500);
    assert_int_equal(other.deadline, 1500);
    assert_int_equal(other.wake_fd, 99);
    assert_int_equal(run_within(&other, 5000).deadline, 1500);
    assert_true(run_within(&run, INT64_MAX).deadline == RUN_NO_DEADLINE);
    run.deadline = 900;
    other = run_for_cleanup(&run, 300);
    assert_int_equal(other.deadline, 1300);
    assert_int_equal(other.wake_fd, -1);
    assert_int_equal(run_check(&other, NULL, &err), 0); /* signal and deadline are behind it */
}

static void sleep_lasts_as_long_as_told(void **state)
{
    autoerr struct err err = ERR_INIT;
    int64_t before = run_mono_ms(&real);
    int64_t took;

    (void)state;
    assert_ok(run_sleep(&real, 60, "x", &err), err);
    took = run_mono_ms(&real) - before;
    assert_true(took >= 60 && took < 30000);
    assert_ok(run_sleep(&real, 0, "x", &err), err);
    assert_ok(run_sleep(&real, -1, "x", &err), err);
}

static void sleep_ends_at_the_deadline(void **state)
{
    struct run run = run_within(&real, 40);
    autoerr struct err err = ERR_INIT;
    int64_t before = run_mono_ms(&real);

    (void)state;
    assert_int_equal(run_sleep(&run, 60000, "the API server", &err), -1);
    assert_true(run_mono_ms(&real) - before < 30000);
    assert_err(err, ERR_TIMEOUT, "timed out waiting for the API server");
}

static void sleep_follows_the_clock_it_is_given(void **state)
{
    struct hand hand = {.step = 100000};
    struct run run = HAND_RUN(&hand);
    autoerr struct err err = ERR_INIT;
    int64_t before = run_mono_ms(&real);

    (void)state;
    assert_ok(run_sleep(&run, 150000, "x", &err), err);
    assert_true(run_mono_ms(&real) - before < 60000);
}

/* Ready to read, but no signal is set: the sleep is neither cut short nor busy. */
static void a_wake_without_signal_is_passed_over(void **state)
{
    autoerr struct err err = ERR_INIT;
    struct run run = real;
    int64_t before = run_mono_ms(&real);
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    run.wake_fd = fds[0];
    assert_ok(run_sleep(&run, 50, "x", &err), err);
    assert_true(run_mono_ms(&real) - before >= 50);
    close(fds[0]);
    close(fds[1]);
}

/* ---- signals: each in a child, for the handlers are the process's ---- */

/* Sleeps until a signal comes; the exit status tells what happened. */
static _Noreturn void sleep_for_a_signal(int ready, int again)
{
    struct run run = real;
    autoerr struct err err = ERR_INIT;
    int status;

    if (run_catch_signals(&run, &err) < 0)
        _exit(99);
    raise(SIGPIPE); /* ignored from now on */
    if (write(ready, "r", 1) != 1)
        _exit(98);
    if (run_sleep(&run, 10000, "x", &err) == 0)
        _exit(97);
    status = err_exit_status(&err);
    err_clear(&err);
    if (again != 0)
        raise(again);
    _exit(status);
}

static int status_after(int number, int again)
{
    int fds[2];
    char byte;
    int status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGINT, SIG_IGN); /* as a shell starts what runs in its background */
        sleep_for_a_signal(fds[1], again);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    kill(pid, number);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_signal_ends_a_sleep(void **state)
{
    int64_t before = run_mono_ms(&real);

    (void)state;
    assert_int_equal(status_after(SIGINT, 0), 130);
    assert_int_equal(status_after(SIGTERM, 0), 143);
    assert_true(run_mono_ms(&real) - before < 9500);
}

static void the_same_signal_twice_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(status_after(SIGINT, SIGINT), -SIGINT);
    assert_int_equal(status_after(SIGTERM, SIGTERM), -SIGTERM);
    assert_int_equal(status_after(SIGINT, SIGTERM), 130); /* another one: the first counts */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment),
        cmocka_unit_test(the_system_clock_goes_on),
        cmocka_unit_test(check_tells_why_a_run_ends),
        cmocka_unit_test(remaining_is_bounded),
        cmocka_unit_test(runs_within_a_run),
        cmocka_unit_test(sleep_lasts_as_long_as_told),
        cmocka_unit_test(sleep_ends_at_the_deadline),
        cmocka_unit_test(sleep_follows_the_clock_it_is_given),
        cmocka_unit_test(a_wake_without_signal_is_passed_over),
        cmocka_unit_test(a_signal_ends_a_sleep),
        cmocka_unit_test(the_same_signal_twice_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
