/* The Lease with tickets, as states and moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "kube/lock_state.h"

/* One run and what it remembers. */
struct party {
    struct lock_me me;
    struct lock_memory memory;
};

static struct party party(const char *id, const char *commit, const char *branch)
{
    return (struct party){.me = {.id = xstrdup(id),
                                 .name = xasprintf("%s@host", id),
                                 .commit = commit ? xstrdup(commit) : NULL,
                                 .branch = branch ? xstrdup(branch) : NULL}};
}

static void leave(struct party *p)
{
    lock_me_clear(&p->me);
    lock_memory_clear(&p->memory);
}

/* Looks at the Lease at `now`, and makes the move on it. */
static enum lock_move act(struct party *p, cJSON **lease, bool beat, int64_t now)
{
    cJSON *next = NULL;

    lock_remember(&p->memory, *lease, now);
    enum lock_move move = lock_decide(*lease, &p->memory, &p->me, beat, now, now, &next);
    if (next) {
        cJSON_Delete(*lease);
        *lease = next;
    }
    return move;
}

static const char *holder(const cJSON *lease)
{
    return json_str_or(lease, "spec.holderIdentity", "");
}

static void test_a_free_lease_is_taken_at_once(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", "c1", "x");

    (void)state;
    assert_int_equal(act(&a, &lease, false, 1000), LOCK_TAKE);
    assert_string_equal(holder(lease), "a");
    assert_string_equal(json_str(lease, "kind"), "Lease");
    assert_string_equal(json_str(lease, "spec.renewTime"), "1970-01-01T00:00:01.000000Z");
    autofree char *text = lock_holder_text(lease);
    assert_string_equal(text, "a@host (commit c1, branch x)");
}

static void test_others_queue_in_order(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", NULL, NULL);
    CLEANUP(leave) struct party b = party("b", NULL, NULL);
    CLEANUP(leave) struct party c = party("c", NULL, NULL);
    size_t of;

    (void)state;
    assert_int_equal(act(&a, &lease, false, 0), LOCK_TAKE);
    assert_int_equal(act(&b, &lease, false, 1), LOCK_WRITE);
    assert_int_equal(act(&c, &lease, false, 2), LOCK_WRITE);
    assert_int_equal(act(&b, &lease, false, 3), LOCK_WAIT);
    lock_remember(&c.memory, lease, 3);
    assert_int_equal(lock_place(lease, &c.memory, &c.me, 3, &of), 2);
    assert_int_equal(of, 2);

    cJSON *released = lock_released(lease, &a.me);
    cJSON_Delete(lease);
    lease = released;
    assert_string_equal(holder(lease), "");
    assert_int_equal(act(&c, &lease, false, 4), LOCK_WAIT); /* not its turn, though it is free */
    assert_int_equal(act(&b, &lease, false, 5), LOCK_TAKE);
    assert_string_equal(holder(lease), "b");
    assert_int_equal(act(&c, &lease, false, 6), LOCK_WAIT);
}

static void test_a_dead_holder_is_followed(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", NULL, NULL);
    CLEANUP(leave) struct party b = party("b", NULL, NULL);

    (void)state;
    act(&a, &lease, false, 0);
    assert_int_equal(act(&b, &lease, false, 100), LOCK_WRITE);
    assert_int_equal(act(&b, &lease, false, LOCK_HOLD_MS), LOCK_WAIT);
    /* a renewal gives it its whole time again, by b's own clock */
    cJSON *renewed = lock_renewed(lease, 77);
    cJSON_Delete(lease);
    lease = renewed;
    assert_int_equal(act(&b, &lease, false, LOCK_HOLD_MS + 100), LOCK_WAIT);
    assert_int_equal(act(&b, &lease, false, 2 * LOCK_HOLD_MS + 99), LOCK_WAIT);
    assert_int_equal(act(&b, &lease, false, 2 * LOCK_HOLD_MS + 100), LOCK_TAKE);
    assert_string_equal(holder(lease), "b");
    int64_t transitions = 0;
    assert_true(json_i64(lease, "spec.leaseTransitions", &transitions));
    assert_int_equal(transitions, 1);
}

static void test_a_dead_ticket_is_void(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", NULL, NULL);
    CLEANUP(leave) struct party b = party("b", NULL, NULL);
    CLEANUP(leave) struct party c = party("c", NULL, NULL);

    (void)state;
    act(&a, &lease, false, 0);
    act(&b, &lease, false, 1); /* and never again */
    assert_int_equal(act(&c, &lease, false, 2), LOCK_WRITE);
    cJSON *released = lock_released(lease, &a.me);
    cJSON_Delete(lease);
    lease = released;
    assert_int_equal(act(&c, &lease, true, 2 + LOCK_TICKET_MS / 2), LOCK_WRITE);
    assert_int_equal(act(&c, &lease, false, 2 + LOCK_TICKET_MS - 1), LOCK_WAIT);
    assert_int_equal(act(&c, &lease, false, 2 + LOCK_TICKET_MS), LOCK_TAKE);
}

static void test_a_ticket_that_beats_stays(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", NULL, NULL);
    CLEANUP(leave) struct party b = party("b", NULL, NULL);
    CLEANUP(leave) struct party c = party("c", NULL, NULL);

    (void)state;
    act(&a, &lease, false, 0);
    act(&b, &lease, false, 1);
    act(&c, &lease, false, 2);
    for (int64_t now = LOCK_BEAT_MS; now < 3 * LOCK_TICKET_MS; now += LOCK_BEAT_MS) {
        assert_int_equal(act(&b, &lease, true, now), LOCK_WRITE);
        cJSON *renewed = lock_renewed(lease, now);
        cJSON_Delete(lease);
        lease = renewed;
        assert_int_equal(act(&c, &lease, true, now + 1), LOCK_WRITE);
    }
    size_t of;
    assert_int_equal(lock_place(lease, &c.memory, &c.me, 3 * LOCK_TICKET_MS, &of), 2);
}

static void test_a_newer_commit_of_the_branch_supersedes_one_that_waits(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", "c1", "x");
    CLEANUP(leave) struct party b = party("b", "c2", "x");
    CLEANUP(leave) struct party other = party("o", "c9", "y");
    CLEANUP(leave) struct party c = party("c", "c3", "x");

    (void)state;
    act(&a, &lease, false, 0);
    act(&b, &lease, false, 1);
    act(&b, &lease, false, 1);
    act(&other, &lease, false, 2);
    act(&other, &lease, false, 2);
    assert_int_equal(act(&c, &lease, false, 3), LOCK_WRITE);
    assert_int_equal(act(&b, &lease, false, 4), LOCK_SUPERSEDED);
    assert_int_equal(act(&other, &lease, false, 4), LOCK_WAIT);
    assert_string_equal(holder(lease), "a"); /* who works is left in peace */
}

static void test_a_ticket_that_was_dropped_queues_again(void **state)
{
    autojson cJSON *lease = NULL;
    CLEANUP(leave) struct party a = party("a", "c1", "x");
    CLEANUP(leave) struct party b = party("b", "c2", "y");

    (void)state;
    act(&a, &lease, false, 0);
    act(&b, &lease, false, 1);
    act(&b, &lease, false, 1);
    cJSON *without = lock_released(lease, &b.me);
    cJSON_Delete(lease);
    lease = without;
    assert_string_equal(holder(lease), "a");
    assert_int_equal(act(&b, &lease, false, 2), LOCK_WRITE);
}

static void test_nonsense_in_the_annotations_is_no_queue(void **state)
{
    static const char *const texts[] = {"nonsense", "{}", "[1, null, {}]", "[{\"id\": 5}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        autojson cJSON *lease = json_object();
        CLEANUP(leave) struct party a = party("a", NULL, NULL);

        json_set_str(json_set_object(json_set_object(lease, "metadata"), "annotations"), LOCK_QUEUE,
                     texts[i]);
        assert_int_equal(act(&a, &lease, false, 0), LOCK_TAKE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_free_lease_is_taken_at_once),
        cmocka_unit_test(test_others_queue_in_order),
        cmocka_unit_test(test_a_dead_holder_is_followed),
        cmocka_unit_test(test_a_dead_ticket_is_void),
        cmocka_unit_test(test_a_ticket_that_beats_stays),
        cmocka_unit_test(test_a_newer_commit_of_the_branch_supersedes_one_that_waits),
        cmocka_unit_test(test_a_ticket_that_was_dropped_queues_again),
        cmocka_unit_test(test_nonsense_in_the_annotations_is_no_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
