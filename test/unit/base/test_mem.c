#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "necoops/base/mem.h"

static void strings_are_copied(void **state)
{
    (void)state;
    assert_text(xstrdup("one"), "one");
    assert_text(xstrdup(""), "");
    assert_text(xstrndup("abcdef", 3), "abc");
    assert_text(xstrndup("ab", 10), "ab");
    assert_text(xasprintf("%s-%d", "x", 7), "x-7");
}

static void strndup_does_not_read_beyond_its_length(void **state)
{
    const char raw[3] = {'a', 'b', 'c'};

    (void)state;
    assert_text(xstrndup(raw, sizeof(raw)), "abc");
}

static void nothing_is_still_a_pointer(void **state)
{
    void *a = xmalloc(0);
    void *b = xcalloc(0, 8);
    void *c = xrealloc(NULL, 0);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    free(a);
    free(b);
    free(c);
}

static void calloc_zeroes(void **state)
{
    unsigned char *bytes = xcalloc(4, 8);

    (void)state;
    for (int i = 0; i < 32; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
}

static void steal_leaves_null(void **state)
{
    char *from = xstrdup("x");
    char *to = steal(from);

    (void)state;
    assert_null(from);
    assert_string_equal(to, "x");
    free(to);
}

static void cleanup_closes_and_keeps_errno(void **state)
{
    int fd = open("/dev/null", O_RDONLY);
    int copy = fd;

    (void)state;
    errno = ENOENT;
    close_fdp(&copy);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(copy, -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    close_fdp(&copy); /* -1 is nothing to close */
}

/* A size that no machine has: the child aborts after one line. */
static void running_out_ends_the_process(void **state)
{
    int fds[2];
    char said[64] = "";
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        xcalloc(SIZE_MAX / 2, 4); /* overflows, so that sanitizers refuse it too */
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(read(fds[0], said, sizeof(said) - 1) >= 0);
    close(fds[0]);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    if (WIFSIGNALED(status)) { /* a sanitizer has its own way to go */
        assert_int_equal(WTERMSIG(status), SIGABRT);
        assert_string_equal(said, "out of memory\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(strndup_does_not_read_beyond_its_length),
        cmocka_unit_test(nothing_is_still_a_pointer),
        cmocka_unit_test(calloc_zeroes),
        cmocka_unit_test(steal_leaves_null),
        cmocka_unit_test(cleanup_closes_and_keeps_errno),
        cmocka_unit_test(running_out_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
