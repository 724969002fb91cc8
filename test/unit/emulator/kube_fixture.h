/* What the tests of the emulator's Kubernetes share. */
#ifndef TEST_KUBE_FIXTURE_H
#define TEST_KUBE_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "emulator/kube/store.h"
#include "necoops/yaml/yaml.h"

/* A value from YAML (flow style reads well in C); single quotes inside. */
static inline cJSON *value_of(const char *text)
{
    struct err err = ERR_INIT;
    cJSON *value = NULL;

    if (yaml_parse_one(text, strlen(text), "test", &value, &err) < 0)
        fail_msg("%s", err_text(&err));
    err_clear(&err);
    return value;
}

static inline void put(struct store *store, const char *text)
{
    struct err err = ERR_INIT;

    if (store_put(store, value_of(text), &err) < 0)
        fail_msg("%s", err_text(&err));
    err_clear(&err);
}

/* Applies; fails the test with the error's text unless `expected` is it. */
static inline struct stored *apply(struct store *store, const char *manager, bool force,
                                   const char *text, const char *expected)
{
    struct err err = ERR_INIT;
    struct stored *out = NULL;
    cJSON *object = value_of(text);
    int result = store_apply(store, object, manager, force, false, &out, &err);

    cJSON_Delete(object);
    if (expected != NULL) {
        assert_int_equal(result, -1);
        assert_string_equal(err_text(&err), expected);
    } else if (result < 0) {
        fail_msg("%s", err_text(&err));
    }
    err_clear(&err);
    return out;
}

static inline struct store *store_with_namespace(void)
{
    struct store *store = store_new();

    put(store, "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}");
    return store;
}

static inline struct stored *get(struct store *store, const char *group, const char *plural,
                                 const char *space, const char *name)
{
    const struct resource *resource = store_resource(store, group, plural);

    assert_non_null(resource);
    return store_get(store, resource, space, name);
}

/* The JSON of a part of an object, or "null"; caller frees. */
static inline char *part(const struct stored *stored, const char *path)
{
    const cJSON *value = json_at(stored->object, path);

    return value != NULL ? json_print(value) : strdup("null");
}

#define assert_part(stored, path, expected)                                                        \
    do {                                                                                           \
        char *part_ = part(stored, path);                                                          \
        assert_string_equal(part_, expected);                                                      \
        free(part_);                                                                               \
    } while (0)

#endif
