#include "unit.h"
#include <fcntl.h>
#include <pty.h>
#include "base/internal.h"
#include "necoops/base/log.h"
#include "necoops/base/progress.h"
#include "necoops/base/run.h"

static int64_t now;

static int64_t test_ms(void *arg)
{
    (void)arg;
    return now;
}

static const struct clock test_clock = {.wall_ms = test_ms, .mono_ms = test_ms};

struct fixture {
    FILE *stream;
    char *text;
    size_t len;
    struct log *log;
    struct progress *progress;
};

static void begin(struct fixture *f, bool terminal, bool enabled)
{
    now = 1000000;
    *f = (struct fixture){.stream = NULL};
    f->stream = open_memstream(&f->text, &f->len);
    f->log = log_new(f->stream, "t", LOG_TEXT, LOG_INFO);
    f->progress = progress_new(f->stream, f->log, terminal, enabled);
    progress_use_clock(f->progress, &test_clock);
}

static void forget(struct fixture *f)
{
    rewind(f->stream);
    fflush(f->stream);
    memset(f->text, 0, strlen(f->text));
}

/* What was printed since the last time. */
static void assert_printed(struct fixture *f, const char *wanted)
{
    fflush(f->stream);
    assert_string_equal(f->text, wanted);
    forget(f);
}

static void end(struct fixture *f)
{
    progress_free(f->progress);
    log_free(f->log);
    fclose(f->stream);
    free(f->text);
}

static void a_line_a_phase_and_one_a_minute(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, false, true);
    progress_tick(f.progress); /* no phase yet */
    progress_phase(f.progress, "boot", "waiting for %s", "ssh");
    assert_printed(&f, "t: boot: waiting for ssh\n");
    progress_update(f.progress, "waiting for the API server");
    now += 10000;
    progress_tick(f.progress);
    assert_printed(&f, "");
    now += 42000;
    progress_tick(f.progress);
    assert_printed(&f, "t: still boot: waiting for the API server (52s)\n");
    progress_tick(f.progress);
    assert_printed(&f, "");
    now += 193000;
    progress_update(f.progress, "nearly"); /* due lines come with it as well */
    assert_printed(&f, "t: still boot: nearly (4m05s)\n");
    progress_phase(f.progress, "deploy", "applying");
    assert_printed(&f, "t: deploy: applying\n");
    progress_done(f.progress);
    now += 600000;
    progress_tick(f.progress);
    progress_update(f.progress, "too late");
    assert_printed(&f, "");
    end(&f);
}

static void silence_never_lasts_a_minute(void **state)
{
    struct fixture f;
    int64_t last;

    (void)state;
    begin(&f, false, true);
    progress_phase(f.progress, "boot", "x");
    assert_printed(&f, "t: boot: x\n");
    last = now;
    for (int i = 0; i < 1000; i++) {
        now += 1000;
        progress_tick(f.progress);
        fflush(f.stream);
        if (f.text[0] != '\0') {
            last = now;
            forget(&f);
        }
        assert_true(now - last < 60000);
    }
    end(&f);
}

static void without_a_log_lines_go_to_the_stream(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, false, true);
    progress_free(f.progress);
    f.progress = progress_new(f.stream, NULL, false, true);
    progress_phase(f.progress, "boot", "a\x1b[2J");
    assert_printed(&f, "boot: a\\x1b[2J\n");
    end(&f);
}

static void a_terminal_line_is_redrawn(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, true, true);
    progress_phase(f.progress, "boot", "waiting");
    assert_printed(&f, "\r\033[Kboot: waiting (0s)");
    now += 300;
    progress_tick(f.progress); /* too soon */
    assert_printed(&f, "");
    now += 900;
    progress_tick(f.progress);
    assert_printed(&f, "\r\033[Kboot: waiting (1s)");
    progress_update(f.progress, "\x1b[31mred");
    assert_printed(&f, "\r\033[Kboot: \\x1b[31mred (1s)");
    progress_done(f.progress);
    assert_printed(&f, "\r\033[K");
    progress_done(f.progress);
    progress_tick(f.progress);
    assert_printed(&f, "");
    end(&f);
}

static void a_terminal_line_steps_aside_for_the_log(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, true, true);
    log_info(f.log, "before");
    assert_printed(&f, "t: before\n");
    progress_phase(f.progress, "boot", "waiting");
    assert_printed(&f, "\r\033[Kboot: waiting (0s)");
    log_warning(f.log, "within");
    assert_printed(&f, "\r\033[Kt: warning: within\n\r\033[Kboot: waiting (0s)");
    progress_done(f.progress);
    assert_printed(&f, "\r\033[K");
    log_info(f.log, "after");
    assert_printed(&f, "t: after\n");
    progress_free(f.progress);
    f.progress = NULL;
    log_info(f.log, "end"); /* the hooks are gone with it */
    assert_printed(&f, "t: end\n");
    end(&f);
}

static void a_long_line_is_cut_to_eighty_columns(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, true, true);
    progress_phase(f.progress, "p", "%0100d", 0);
    fflush(f.stream);
    assert_int_equal(strlen(f.text), 4 + 79);
    forget(&f);
    progress_update(
        f.progress, "%s",
        "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語");
    fflush(f.stream);
    /* "p: ", then characters of three bytes and two columns: (79 - 3) / 2 of them */
    assert_int_equal(f.len, 4 + 3 + 38 * 3);
    forget(&f);
    end(&f);
}

static void the_width_is_the_terminals(void **state)
{
    struct winsize size = {.ws_row = 24, .ws_col = 20};
    char seen[200] = "";
    struct progress *progress;
    int master;
    int slave;
    FILE *stream;

    (void)state;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    stream = fdopen(slave, "w");
    progress = progress_new(stream, NULL, true, true);
    progress_phase(progress, "boot", "waiting for a long time");
    assert_true(read(master, seen, sizeof(seen) - 1) > 0);
    assert_string_equal(seen, "\r\033[Kboot: waiting for a");
    progress_free(progress);
    fclose(stream);
    close(master);
}

static void quiet_prints_nothing(void **state)
{
    struct fixture f;

    (void)state;
    for (int terminal = 0; terminal < 2; terminal++) {
        begin(&f, terminal == 1, false);
        progress_phase(f.progress, "boot", "x");
        progress_update(f.progress, "y");
        now += 100000;
        progress_tick(f.progress);
        progress_done(f.progress);
        assert_printed(&f, "");
        log_info(f.log, "only this");
        assert_printed(&f, "t: only this\n");
        end(&f);
    }
    progress_phase(NULL, "boot", "x");
    progress_update(NULL, "x");
    progress_tick(NULL);
    progress_done(NULL);
    progress_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_a_phase_and_one_a_minute),
        cmocka_unit_test(silence_never_lasts_a_minute),
        cmocka_unit_test(without_a_log_lines_go_to_the_stream),
        cmocka_unit_test(a_terminal_line_is_redrawn),
        cmocka_unit_test(a_terminal_line_steps_aside_for_the_log),
        cmocka_unit_test(a_long_line_is_cut_to_eighty_columns),
        cmocka_unit_test(the_width_is_the_terminals),
        cmocka_unit_test(quiet_prints_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
