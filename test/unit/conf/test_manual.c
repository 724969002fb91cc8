/* necoops.yaml(5) and the table of keys say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "conf/keys.h"
#include "necoops/base/fs.h"

/* Tests run in the project's folder. */
#define PAGE "man/necoops.yaml.5"

static int check_row(const char *page, const struct key *key)
{
    autofree char *item = xasprintf("\n.It Cm %s ", key->name);
    const char *at = strstr(page, item);
    if (!at) {
        print_error("%s has no '%s'\n", PAGE, key->name);
        return 1;
    }
    const char *end = strstr(at + 1, "\n.It ");
    autofree char *entry = end ? xstrndup(at, (size_t)(end - at)) : xstrdup(at);
    if (!key->fallback)
        return 0;
    const char *quote = strchr(key->fallback, ' ') ? "\"" : "";
    autofree char *fallback = xasprintf("default\n.Cm %s%s%s .", quote, key->fallback, quote);
    if (strstr(entry, fallback))
        return 0;
    print_error("%s: '%s' does not tell the default %s\n", PAGE, key->name, key->fallback);
    return 1;
}

static void test_every_key_is_told(void **state)
{
    (void)state;
    autobuf struct buf page = BUF_INIT(BUF_MEDIUM);
    autoerr struct err err = ERR_INIT;
    assert_int_equal(fs_read(PAGE, &page, &err), 0);
    int missing = 0;
    for (size_t i = 0; i < conf_key_count; i++)
        missing += check_row(page.data, &conf_keys[i]);
    assert_int_equal(missing, 0);
}

static void test_no_other_key_is_told(void **state)
{
    (void)state;
    autobuf struct buf page = BUF_INIT(BUF_MEDIUM);
    autoerr struct err err = ERR_INIT;
    assert_int_equal(fs_read(PAGE, &page, &err), 0);
    size_t told = 0;
    for (const char *at = page.data; (at = strstr(at, "\n.It Cm ")); at++)
        told++;
    assert_int_equal(told, conf_key_count);
}

/* A default that its own key would refuse is a defect. */
static void test_defaults_are_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < conf_key_count; i++) {
        autoerr struct err err = ERR_INIT;
        autojson cJSON *value = NULL;
        if (conf_keys[i].fallback &&
            key_parse(&conf_keys[i], conf_keys[i].fallback, &value, &err) < 0)
            fail_msg("%s: %s", conf_keys[i].name, err_text(&err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_told),
        cmocka_unit_test(test_no_other_key_is_told),
        cmocka_unit_test(test_defaults_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
