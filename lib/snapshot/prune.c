#include "snapshot/prune.h"

#include <stdlib.h>

#define TRIES 5

/* How many whole sets are newer. */
static int rank_of(const struct landing *landing, const struct landing_set *set)
{
    int rank = 0;
    for (size_t i = 0; i < landing->set_count; i++) {
        const struct landing_set *other = &landing->sets[i];
        rank += other->whole && other->newest_ms > set->newest_ms;
    }
    return rank;
}

static bool is_young(int64_t then_ms, int64_t now_ms)
{
    return then_ms > now_ms - PRUNE_LEAST_AGE_MS;
}

static bool goes(const struct landing *landing, const struct pointer *pointer,
                 const struct prune_rules *rules, const struct landing_set *set)
{
    int place = pointer_place(landing, pointer, set->name);
    if (place == 0 || is_young(set->newest_ms, rules->now_ms) ||
        (place > 0 && is_young(pointer_replaced(pointer, place), rules->now_ms)))
        return false;
    if (!set->whole)
        return true;
    if (rules->keep == 0 && rules->keep_ms == 0)
        return false;
    if (rules->keep > 0 && rank_of(landing, set) < rules->keep)
        return false;
    return rules->keep_ms == 0 || set->newest_ms <= rules->now_ms - rules->keep_ms;
}

void prune_choose(const struct landing *landing, const struct pointer *pointer,
                  const struct prune_rules *rules, struct strv *out)
{
    for (size_t i = 0; i < landing->set_count; i++) {
        if (goes(landing, pointer, rules, &landing->sets[i]))
            strv_add(out, landing->sets[i].name);
    }
}

/* 1: nothing goes; 0: the pointer does not name any of `names` any more. ERR_CONFLICT: it was
 * moved. */
static int choose_and_forget(struct landing *landing, struct gcs *gcs,
                             const struct prune_rules *rules, struct strv *names, struct err *err)
{
    CLEANUP(pointer_clear) struct pointer pointer = {0};
    if (landing_list(landing, gcs, err) != 0 || pointer_read(landing, gcs, &pointer, err) != 0)
        return -1;
    prune_choose(landing, &pointer, rules, names);
    if (names->len == 0)
        return 1;
    autojson cJSON *sets = pointer_without(landing, &pointer, names);
    if (cJSON_GetArraySize(sets) == cJSON_GetArraySize(pointer.sets))
        return 0;
    return pointer_write(landing, gcs, &pointer, sets, err);
}

int prune(struct landing *landing, struct run *run, struct http *http, struct gcs *gcs,
          const struct prune_rules *rules, int lanes, struct strv *pruned, struct err *err)
{
    autostrv struct strv names = STRV_INIT;
    int chosen;
    for (int tries = 1;; tries++) {
        chosen = choose_and_forget(landing, gcs, rules, &names, err);
        if (chosen >= 0 || err->code != ERR_CONFLICT || tries == TRIES)
            break;
        err_clear(err);
        strv_clear(&names);
    }
    if (chosen != 0)
        return chosen < 0 ? -1 : 0;
    for (size_t i = 0; i < names.len; i++) {
        if (landing_delete(landing, run, http, gcs, names.items[i], "", lanes, err) != 0)
            return -1;
        strv_add(pruned, names.items[i]);
    }
    return 0;
}
