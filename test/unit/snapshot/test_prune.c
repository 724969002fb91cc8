/* Which sets go, and what becomes of the pointer. */
#include "archive.h"
#include "necoops/base/strv.h"
#include "necoops/base/timefmt.h"
#include "snapshot/facts.h"
#include "snapshot/prune.h"

#define HOUR ((int64_t)60 * 60 * 1000)
#define NOW  ((int64_t)1800000000 * 1000)

struct seen {
    const char *name;
    int hours; /* since its last object was written */
    bool half;
};

/* Sets as they would be listed, and a pointer to some of them. */
struct world {
    struct landing landing;
    struct pointer pointer;
    struct landing_set sets[8];
};

static void set_up(struct world *w, const struct seen *seen, const char *sets)
{
    struct err err = ERR_INIT;
    *w = (struct world){0};
    assert_good(landing_init(&w->landing, "gs://bucket/dc/current.json", &err), err);
    for (; seen->name; seen++)
        w->sets[w->landing.set_count++] =
            (struct landing_set){.name = (char *)seen->name,
                                 .whole = !seen->half,
                                 .newest_ms = NOW - seen->hours * HOUR};
    w->landing.sets = w->sets;
    assert_good(json_parse(sets, strlen(sets), "sets", &w->pointer.sets, &err), err);
}

static void tear_down(struct world *w)
{
    w->landing.set_count = 0;
    w->landing.sets = NULL;
    landing_clear(&w->landing);
    pointer_clear(&w->pointer);
}

static void assert_goes(const struct seen *seen, const char *sets, int keep, int keep_hours,
                        const char *wanted)
{
    struct world w;
    autostrv struct strv names = STRV_INIT;
    const struct prune_rules rules = {.keep = keep, .keep_ms = keep_hours * HOUR, .now_ms = NOW};
    set_up(&w, seen, sets);
    prune_choose(&w.landing, &w.pointer, &rules, &names);
    autofree char *text = strv_join(&names, " ");
    assert_string_equal(text, wanted);
    tear_down(&w);
}

static const struct seen days[] = {{"a", 120},         {"b", 96},  {"c", 72},        {"d", 48},
                                   {"half", 30, true}, {"new", 2}, {"now", 1, true}, {NULL}};
#define ALL                                                                                        \
    "[{\"manifest\":\"sets/new/manifest.json\"},{\"manifest\":\"sets/d/manifest.json\"},"          \
    "{\"manifest\":\"sets/a/manifest.json\"}]"

static void test_rules(void **state)
{
    (void)state;
    assert_goes(days, ALL, 0, 0, "half");
    assert_goes(days, ALL, 1, 0, "a b c d half");
    assert_goes(days, ALL, 2, 0, "a b c half");
    assert_goes(days, ALL, 5, 0, "half");
    assert_goes(days, ALL, 0, 72, "a b c half");
    assert_goes(days, ALL, 0, 1, "a b c d half"); /* a day at least */
    assert_goes(days, ALL, 2, 80, "a b half");
    assert_goes(days, ALL, 4, 80, "a half");
    assert_goes(days, "[]", 1, 0, "a b c d half");
}

static void test_current_stays(void **state)
{
    (void)state;
    assert_goes(days, "[{\"manifest\":\"gs://bucket/dc/sets/a/manifest.json\"}]", 1, 0,
                "b c d half");
    assert_goes(days, "[{\"manifest\":\"sets/half/manifest.json\"}]", 0, 1, "a b c d");
    /* Of another folder. */
    assert_goes(days, "[{\"manifest\":\"gs://other/dc/sets/a/manifest.json\"}]", 1, 0,
                "a b c d half");
}

static void test_replaced_a_moment_ago(void **state)
{
    autofree char *recent =
        xasprintf("[{\"manifest\":\"sets/new/manifest.json\"},{\"manifest\":"
                  "\"sets/a/manifest.json\",\"replaced\":\"%s\"},{\"manifest\":\"sets/b/"
                  "manifest.json\",\"replaced\":\"%s\"},{\"manifest\":\"sets/c/manifest.json\","
                  "\"replaced\":\"in the spring\"}]",
                  time_rfc3339(NOW - 2 * HOUR).text, time_rfc3339(NOW - 25 * HOUR).text);
    (void)state;
    assert_goes(days, recent, 1, 0, "b d half");
}

static void assert_list(cJSON *list, const char *wanted)
{
    autofree char *text = json_print(list);
    assert_string_equal(text, wanted);
    cJSON_Delete(list);
}

static void test_pointer(void **state)
{
    struct world w;
    autostrv struct strv gone = STRV_INIT;
    static const struct seen none[] = {{NULL}};
    (void)state;
    set_up(&w, none, ALL);
    assert_int_equal(pointer_place(&w.landing, &w.pointer, "new"), 0);
    assert_int_equal(pointer_place(&w.landing, &w.pointer, "a"), 2);
    assert_int_equal(pointer_place(&w.landing, &w.pointer, "b"), -1);
    assert_list(pointer_with(&w.landing, &w.pointer, "b", 0),
                "[{\"manifest\":\"sets/b/manifest.json\"},{\"manifest\":\"sets/new/manifest.json\","
                "\"replaced\":\"1970-01-01T00:00:00Z\"},{\"manifest\":\"sets/d/manifest.json\"},"
                "{\"manifest\":\"sets/a/manifest.json\"}]");
    strv_add(&gone, "d");
    strv_add(&gone, "x");
    assert_list(
        pointer_without(&w.landing, &w.pointer, &gone),
        "[{\"manifest\":\"sets/new/manifest.json\"},{\"manifest\":\"sets/a/manifest.json\"}]");
    tear_down(&w);
}

static void test_names(void **state)
{
    struct landing landing = {0};
    struct err err = ERR_INIT;
    (void)state;
    assert_good(landing_init(&landing, "gs://bucket/current.json", &err), err);
    autofree char *name = landing_name(&landing, "one", "manifest.json");
    assert_string_equal(name, "sets/one/manifest.json");
    landing_clear(&landing);
    assert_int_equal(landing_init(&landing, "gs://bucket/x.tar", &err), -1);
    assert_error(err, ERR_USAGE,
                 "'gs://bucket/x.tar' is no pointer to sets: name one, like "
                 "gs://BUCKET/current.json");
    static const char *const bad[] = {"", ".", "..", ".x", "a/b", "a b", "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(landing_check_name(bad[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        err_clear(&err);
    }
    assert_good(landing_check_name("20261123T070000Z-2", &err), err);
}

static void test_versions(void **state)
{
    static const char *const texts[][2] = {
        {"QEMU emulator version 7.2.11 (Debian 1:7.2+dfsg-7)", "7.2.11"},
        {"placemat2 version 2.4.1.\n", "2.4.1"},
        {"v1.2", "1.2"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        autofree char *version = facts_version_in(texts[i][0]);
        assert_string_equal(version, texts[i][1]);
    }
    assert_null(facts_version_in("version 7"));
    assert_null(facts_version_in("..."));
    assert_null(facts_version_in(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_current_stays),
        cmocka_unit_test(test_pointer), cmocka_unit_test(test_replaced_a_moment_ago),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
