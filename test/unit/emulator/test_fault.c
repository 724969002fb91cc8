/* Fault rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "emulator/core/fault.h"

static struct faults *make(const char *rule)
{
    autostrv struct strv rules = STRV_INIT;
    autoerr struct err err = ERR_INIT;
    struct faults *faults = NULL;
    strv_add(&rules, rule);
    if (faults_new(&rules, &faults, &err) < 0)
        fail_msg("%s", err_text(&err));
    return faults;
}

static bool hit(struct faults *faults, const char *method, const char *path,
                struct fault_action *action)
{
    struct fault_subject subject = {
        .listener = "google", .method = method, .path = path, .query = "alt=json"};
    *action = (struct fault_action){.kind = FAULT_NONE};
    return faults_request(faults, &subject, action);
}

static void test_the_nth_of_the_matching(void **state)
{
    (void)state;
    struct fault_action action;
    struct faults *faults = make("method=POST,path=/compute/*,listener=goo*,n=2,count=2,"
                                 "status=503,retry-after=1");
    assert_false(hit(faults, "POST", "/compute/v1/x", &action)); /* the first */
    assert_false(hit(faults, "GET", "/compute/v1/x", &action));
    assert_false(hit(faults, "POST", "/storage/v1/x", &action));
    assert_true(hit(faults, "POST", "/compute/v1/x", &action));
    assert_int_equal(action.kind, FAULT_STATUS);
    assert_int_equal(action.status, 503);
    assert_string_equal(action.retry_after, "1");
    assert_string_equal(action.reason, "backendError");
    assert_true(hit(faults, "POST", "/compute/v1/x", &action));
    assert_false(hit(faults, "POST", "/compute/v1/x", &action));
    faults_free(faults);
}

static void test_all_and_for_a_time(void **state)
{
    (void)state;
    struct fault_action action;
    struct faults *faults = make("count=0,until=500ms,reset");
    assert_true(hit(faults, "GET", "/a", &action));
    assert_int_equal(action.kind, FAULT_RESET);
    assert_true(hit(faults, "GET", "/b", &action));
    usleep(520000);
    assert_false(hit(faults, "GET", "/c", &action));
    faults_free(faults);
}

static void test_values(void **state)
{
    (void)state;
    struct fault_action action;
    struct faults *faults = make("query=alt=*,status=403,reason=quotaExceeded,message=a\\,b,after");
    assert_true(hit(faults, "GET", "/", &action));
    assert_string_equal(action.message, "a,b");
    assert_string_equal(action.reason, "quotaExceeded");
    assert_true(action.after);
    faults_free(faults);
    faults = make("header=Content-Range: bytes 0-1/2");
    assert_true(hit(faults, "GET", "/", &action));
    assert_string_equal(action.header, "Content-Range: bytes 0-1/2");
    faults_free(faults);
    faults = make("drop=Range");
    assert_true(hit(faults, "GET", "/", &action));
    assert_string_equal(action.header, "Range");
    faults_free(faults);
    faults = make("stall=1m30s");
    assert_true(hit(faults, "GET", "/", &action));
    assert_int_equal(action.number, 90000);
    faults_free(faults);
}

static void test_operations(void **state)
{
    (void)state;
    struct fault_action action = {.kind = FAULT_NONE};
    struct faults *faults = make("operation=insert,zone=asia-*-c,target=neco-*,vanish,"
                                 "error=ZONE_RESOURCE_POOL_EXHAUSTED");
    assert_false(hit(faults, "POST", "/compute/v1/x", &action));
    assert_false(faults_operation(faults, "delete", "asia-northeast1-c", "neco-ops", &action));
    assert_false(faults_operation(faults, "insert", "asia-northeast1-b", "neco-ops", &action));
    assert_true(faults_operation(faults, "insert", "asia-northeast1-c", "neco-ops", &action));
    assert_int_equal(action.kind, FAULT_OPERATION);
    assert_string_equal(action.error, "ZONE_RESOURCE_POOL_EXHAUSTED");
    assert_true(action.vanish);
    assert_false(faults_operation(faults, "insert", "asia-northeast1-c", "neco-ops", &action));
    faults_free(faults);
}

static void test_applications(void **state)
{
    (void)state;
    struct fault_action action = {.kind = FAULT_NONE};
    struct faults *faults = make("application=web*,argocd=restart,n=2,pause=1s");
    assert_false(hit(faults, "POST", "/web", &action));
    assert_false(faults_application(faults, "ops", "restart", &action));
    assert_false(faults_application(faults, "web", "degraded", &action));
    assert_false(faults_application(faults, "web", "restart", &action));
    assert_true(faults_application(faults, "web", "restart", &action));
    assert_int_equal(action.number, 1000);
    assert_false(faults_application(faults, "web", "restart", &action));
    faults_free(faults);
}

static void check_invalid(const char *rule, const char *expected)
{
    autostrv struct strv rules = STRV_INIT;
    autoerr struct err err = ERR_INIT;
    struct faults *faults = NULL;
    strv_add(&rules, rule);
    assert_int_equal(faults_new(&rules, &faults, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_string_equal(err_text(&err), expected);
}

static void test_invalid(void **state)
{
    (void)state;
    check_invalid("path=/x", "fault 'path=/x': it does not say what to do (status=503, reset, …)");
    check_invalid("header=Range", "fault 'header=Range': 'header' wants NAME: VALUE");
    check_invalid("status=503,reset", "fault 'status=503,reset': it says two things to do");
    check_invalid("statos=503", "fault 'statos=503': unknown key 'statos'; did you mean 'status'?");
    check_invalid("status=abc", "fault 'status=abc': 'abc' is no value for 'status'");
    check_invalid("n=0,reset", "fault 'n=0,reset': '0' is no value for 'n'");
    check_invalid("error=X", "fault 'error=X': 'operation' and 'error' go together");
    check_invalid("argocd=degraded",
                  "fault 'argocd=degraded': 'application' and 'argocd' go together");
    check_invalid("application=x,argocd=flap", "fault 'application=x,argocd=flap': Argo CD can "
                                               "lose-refresh, degraded or restart");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_of_the_matching),
        cmocka_unit_test(test_all_and_for_a_time),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_applications),
        cmocka_unit_test(test_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
