/* The test of done: one state of an Application, what was asked for, and the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "necoops/argocd/application.h"

#define A    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define REPO "https://github.com/example/apps.git"

/* The parts of a state, with single quotes for double ones. */
#define META    "'metadata':{'name':'web','namespace':'argocd','resourceVersion':'7'}"
#define SRC(r)  "{'repoURL':'" REPO "','path':'web','targetRevision':'" r "'}"
#define SPEC(r) "'spec':{'source':" SRC(r) "}"
#define OPSTATE(phase, token, revision, more)                                                      \
    "'operationState':{'operation':{'info':[{'name':'necoops','value':'" token                     \
    "'}],'initiatedBy':{'username':'someone'}},'phase':'" phase                                    \
    "','message':'the message','syncResult':{'revision':'" revision "'}" more "}"
#define SYNC(status, revision, compared)                                                           \
    "'sync':{'status':'" status "','revision':'" revision                                          \
    "','comparedTo':{'source':" SRC(compared) "}}"
#define HEALTH(status) "'health':{'status':'" status "'}"
#define GOOD                                                                                       \
    OPSTATE("Succeeded", "T", A, "")                                                               \
    "," SYNC("Synced", A, A) "," HEALTH("Healthy") ",'reconciledAt':'2026-01-02T03:04:05Z'"
#define STATUS(text) "{" META "," SPEC(A) ",'status':{" text "}}"

struct given {
    const char *name, *app;
    struct argocd_wanted wanted; /* revision and target are filled in when NULL and not `loose` */
    enum argocd_verdict verdict;
    const char *reason; /* part of it; NULL: none */
};

#define OURS .token = "T", .token_seen = true

static char *group_items[] = {(char[]){"example.com"}, NULL};
static const struct strv no_groups = STRV_INIT;
static const struct strv some_groups = {.items = group_items, .len = 1};

static const struct given cases[] = {
    {"all is as wanted", STATUS(GOOD), {OURS}, ARGOCD_DONE, NULL},
    {"operation null is none",
     "{" META "," SPEC(A) ",'operation':null,'status':{" GOOD "}}",
     {OURS},
     ARGOCD_DONE,
     NULL},
    {"no status at all",
     "{" META "," SPEC(A) "}",
     {.token = "T"},
     ARGOCD_PENDING,
     "the sync was asked for"},

    /* whose operation */
    {"asked for, not taken up",
     "{" META "," SPEC(A) ",'operation':{'info':[{'name':'necoops','value':'T'}]},'status':{}}",
     {OURS},
     ARGOCD_PENDING,
     "waiting for Argo CD to start the sync"},
    {"stale: the state of the sync before",
     STATUS(OPSTATE("Succeeded", "OLD", A, "") "," SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {.token = "T"},
     ARGOCD_PENDING,
     "the sync was asked for"},
    {"another took its place",
     STATUS(OPSTATE("Running", "OTHER", A, "") "," SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_LOST,
     "another sync by someone took the place of ours"},
    {"it vanished",
     STATUS(SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_LOST,
     "another sync took the place of ours"},
    {"still there beside its own result",
     "{" META "," SPEC(A) ",'operation':{},'status':{" GOOD "}}",
     {OURS},
     ARGOCD_PROGRESSING,
     "a sync is about to start"},

    /* phases */
    {"running",
     STATUS(OPSTATE("Running", "T", A, "")),
     {OURS},
     ARGOCD_PROGRESSING,
     "syncing: the message"},
    {"running with finishedAt waits for its next try",
     STATUS(OPSTATE("Running", "T", A, ",'finishedAt':'2026-01-02T03:04:05Z'")),
     {OURS},
     ARGOCD_PROGRESSING,
     "will be tried again: the message"},
    {"terminating",
     STATUS(OPSTATE("Terminating", "T", A, "")),
     {OURS},
     ARGOCD_PROGRESSING,
     "syncing"},
    {"failed",
     STATUS(OPSTATE("Failed", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_FAILED,
     "the sync failed: the message"},
    {"failed, with the resource",
     "{" META "," SPEC(
         A) ",'status':{'operationState':{'operation':{'info':[{'name':'necoops','value':"
            "'T'}]},'phase':'Failed','message':'one or more objects failed to apply','syncResult':{"
            "'revision':'" A "','resources':[{'kind':'ConfigMap','name':'fine','status':'Synced'},{"
            "'group':'apps','kind':'Deployment','namespace':'x','name':'y','status':'SyncFailed','"
            "message':"
            "'field is immutable'}]}}}}",
     {OURS},
     ARGOCD_FAILED,
     "one or more objects failed to apply; Deployment x/y is SyncFailed: field is immutable"},
    {"error", STATUS(OPSTATE("Error", "T", A, "")), {OURS}, ARGOCD_FAILED, "the sync failed"},
    {"it took another revision",
     STATUS(OPSTATE("Succeeded", "T", B, "") "," SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_FAILED,
     "the sync took revision '" B "' instead of '" A "'"},

    /* the comparison */
    {"compared with the source before",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", B, B) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_STALE,
     "not compared with Git yet"},
    {"compared as asked, but at the revision before",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", B, A) "," HEALTH("Healthy")),
     {OURS},
     ARGOCD_STALE,
     "still at revision 'bbbbbbbbbbbb'"},
    {"out of sync",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH(
         "Healthy") ",'resources':[{'kind':'Service','namespace':'x','name':'s','status':'"
                    "OutOfSync'}]"),
     {OURS},
     ARGOCD_PROGRESSING,
     "OutOfSync: Service x/s is OutOfSync"},
    {"a refresh is under way",
     "{'metadata':{'name':'web','annotations':{'argocd.argoproj.io/refresh':'normal'}}," SPEC(
         A) ",'status':{" GOOD "}}",
     {OURS},
     ARGOCD_STALE,
     "not compared with Git yet"},

    /* health */
    {"progressing",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", A, A) "," HEALTH(
         "Progressing") ",'resources':[{'group':'apps','kind':'Deployment','namespace':'x','name':'"
                        "y','status':"
                        "'Synced','health':{'status':'Progressing','message':'0 of 1'}}]"),
     {OURS},
     ARGOCD_SETTLING,
     "Progressing: Deployment x/y is Progressing: 0 of 1"},
    {"missing",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", A, A) "," HEALTH("Missing")),
     {OURS},
     ARGOCD_SETTLING,
     "Missing"},
    {"no health yet",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", A, A)),
     {OURS},
     ARGOCD_SETTLING,
     "no health yet"},
    {"degraded",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Synced", A, A) "," HEALTH("Degraded")),
     {OURS},
     ARGOCD_DEGRADED,
     "Degraded"},

    /* conditions */
    {"it cannot be rendered",
     STATUS(OPSTATE("Error", "T", A, "") "," SYNC("Unknown", A, A) "," HEALTH(
         "Healthy") ",'conditions':[{'type':'ComparisonError','message':'a.yaml is broken'}]"),
     {OURS},
     ARGOCD_FAILED,
     "ComparisonError: a.yaml is broken"},
    {"it cannot be rendered, and would be tried again",
     STATUS(OPSTATE("Running", "T", A, ",'finishedAt':'x'") "," SYNC("Unknown", A, A) "," HEALTH(
         "Healthy") ",'conditions':[{'type':'ComparisonError','message':'a.yaml is broken'}]"),
     {OURS},
     ARGOCD_FAILED,
     "ComparisonError: a.yaml is broken"},
    {"its operation could not render it",
     STATUS("'operationState':{'operation':{'info':[{'name':'necoops','value':'T'}]},'phase':"
            "'Running','finishedAt':'x','message':'ComparisonError: a.yaml is broken'}"),
     {OURS, .reconciled_before = ""},
     ARGOCD_FAILED,
     "ComparisonError: a.yaml is broken"},
    {"its operation met a repo server that starts",
     STATUS(
         "'operationState':{'operation':{'info':[{'name':'necoops','value':'T'}]},'phase':"
         "'Running','finishedAt':'x','message':'ComparisonError: rpc error: code = Unavailable'}"),
     {OURS},
     ARGOCD_PROGRESSING,
     "will be tried again"},
#define UNKNOWN_KIND(retries)                                                                      \
    STATUS("'operationState':{'operation':{'info':[{'name':'necoops','value':'T'}]},'phase':"      \
           "'Running','finishedAt':'x','retryCount':" retries                                      \
           ",'message':'not valid','syncResult':{'revision':'" A "','resources':[{'group':"        \
           "'example.com','kind':'Thing','name':'t','status':'SyncFailed','message':'Make sure "   \
           "the Thing CRD is installed on the destination cluster.'}]}}")
    {"a kind that nothing defines",
     UNKNOWN_KIND("0"),
     {OURS, .coming = &no_groups},
     ARGOCD_FAILED,
     "Thing t is SyncFailed: Make sure"},
    {"a kind that the commit defines",
     UNKNOWN_KIND("4"),
     {OURS, .coming = &some_groups},
     ARGOCD_PROGRESSING,
     "will be tried again"},
    {"a kind, and nobody knows who defines it",
     UNKNOWN_KIND("0"),
     {OURS},
     ARGOCD_PROGRESSING,
     "will be tried again"},
    {"a kind that is still unknown after a second try",
     UNKNOWN_KIND("1"),
     {OURS},
     ARGOCD_FAILED,
     "Thing t"},
    {"the repo server is away for a moment",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Unknown", A, A) "," HEALTH(
         "Healthy") ",'conditions':[{'type':'ComparisonError','message':'rpc error: code = "
                    "Unavailable'}]"),
     {OURS},
     ARGOCD_PROGRESSING,
     "code = Unavailable"},
    {"an error about the source before",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Unknown", B, B) "," HEALTH(
         "Healthy") ",'conditions':[{'type':'ComparisonError','message':'old'}]"),
     {OURS},
     ARGOCD_STALE,
     "not compared"},
    {"an error from before we asked",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Unknown", A, A) "," HEALTH(
         "Healthy") ",'reconciledAt':'t1','conditions':[{'type':'ComparisonError','message':'old'}"
                    "]"),
     {OURS, .reconciled_before = "t1"},
     ARGOCD_PROGRESSING,
     "ComparisonError: old"},
    {"the specification is invalid",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("Unknown", A, A) "," HEALTH(
         "Unknown") ",'conditions':[{'type':'InvalidSpecError','message':'no such project'}]"),
     {OURS},
     ARGOCD_FAILED,
     "InvalidSpecError: no such project"},

    /* somebody set it back */
    {"set back",
     "{" META "," SPEC("master") ",'status':{" GOOD "}}",
     {OURS},
     ARGOCD_REVERTED,
     "its revision is not 'aaaaaaaaaaaa'"},
    {"set back, by whom",
     "{'metadata':{'name':'web','managedFields':[{'manager':'necoops','time':'2026-01-01T00:00:00Z'"
     ","
     "'fieldsV1':{'f:spec':{'f:source':{'f:targetRevision':{}}}}},{'manager':"
     "'argocd-controller','time':'2026-01-01T00:00:09Z','fieldsV1':{'f:spec':{'f:source':{"
     "'f:targetRevision':{}}}}}]}," SPEC("master") ",'status':{" GOOD "}}",
     {OURS},
     ARGOCD_REVERTED,
     "last set by argocd-controller"},
    {"not yet as we asked",
     "{" META "," SPEC("master") ",'status':{" GOOD "}}",
     {.token = "T2"},
     ARGOCD_PENDING,
     "the sync was asked for"},
    {"being deleted",
     "{'metadata':{'name':'web','deletionTimestamp':'x'}," SPEC(A) ",'status':{" GOOD "}}",
     {OURS},
     ARGOCD_PROGRESSING,
     "it is being deleted"},

    /* live already */
    {"live already", STATUS(GOOD), {.was_live = true}, ARGOCD_DONE, NULL},
    {"at the commit, and never synced",
     STATUS(SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {.was_live = true},
     ARGOCD_PENDING,
     "it was never synced"},
    {"synced with another commit last",
     STATUS(OPSTATE("Succeeded", "X", B, "") "," SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {.was_live = true},
     ARGOCD_PENDING,
     "instead of"},

    /* automated sync */
    {"synced by itself",
     STATUS(SYNC("Synced", A, A) "," HEALTH("Healthy")),
     {0},
     ARGOCD_DONE,
     NULL},
    {"an automated sync that failed",
     STATUS(OPSTATE("Failed", "", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH("Healthy")),
     {0},
     ARGOCD_DEGRADED,
     "the sync failed: the message"},
    {"an automated sync that failed at the commit before",
     STATUS(OPSTATE("Failed", "", B, "") "," SYNC("OutOfSync", A, A) "," HEALTH("Healthy")),
     {0},
     ARGOCD_PROGRESSING,
     "OutOfSync"},
    {"not compared since the refresh was asked for",
     STATUS(GOOD),
     {.reconciled_before = "2026-01-02T03:04:05Z"},
     ARGOCD_STALE,
     "not compared"},
    {"compared within the same second",
     STATUS(GOOD),
     {.reconciled_before = "2026-01-02T03:04:05Z", .refreshed = true},
     ARGOCD_DONE,
     NULL},

    /* the root apart from its children */
    {"only applications differ",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH(
         "Healthy") ",'resources':[{'group':'argoproj.io','kind':'Application','name':'x','status':"
                    "'OutOfSync'}]"),
     {OURS, .root_apart = true},
     ARGOCD_DONE,
     NULL},
    {"more than applications differ",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH(
         "Healthy") ",'resources':[{'group':'argoproj.io','kind':'Application','name':'x','status':"
                    "'OutOfSync'},{'kind':'ConfigMap','name':'c','status':'OutOfSync'}]"),
     {OURS, .root_apart = true},
     ARGOCD_PROGRESSING,
     "OutOfSync"},

    {"what is no longer in Git",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH(
         "Healthy") ",'resources':[{'kind':'ConfigMap','name':'c','status':'OutOfSync','"
                    "requiresPruning':"
                    "true}]"),
     {OURS, .with_leftovers = true},
     ARGOCD_DONE,
     NULL},
    {"what is no longer in Git, when it is to be pruned",
     STATUS(OPSTATE("Succeeded", "T", A, "") "," SYNC("OutOfSync", A, A) "," HEALTH(
         "Healthy") ",'resources':[{'kind':'ConfigMap','name':'c','status':'OutOfSync','"
                    "requiresPruning':"
                    "true}]"),
     {OURS},
     ARGOCD_PROGRESSING,
     "ConfigMap c is OutOfSync"},

    /* several sources */
    {"several sources, the chart keeps its version",
     "{" META ",'spec':{'sources':[" SRC(
         A) ",{'repoURL':'https://charts.example.com','chart':'c',"
            "'targetRevision':'1.2.3'}]},'status':{'operationState':{'operation':{'info':[{'name':'"
            "necoops',"
            "'value':'T'}]},'phase':'Succeeded','syncResult':{'revisions':['" A
            "','1.2.3']}},'sync':{"
            "'status':'Synced','revisions':['" A "','1.2.3'],'comparedTo':{'sources':[" SRC(
                A) ",{'repoURL':'https://"
                   "charts.example.com','chart':'c','"
                   "targetRevision':'1.2.3'}]}}," HEALTH("Healthy") "}}",
     {OURS},
     ARGOCD_DONE,
     NULL},
    {"several sources, ours at another revision",
     "{" META ",'spec':{'sources':[" SRC(
         A) ",{'repoURL':'https://charts.example.com','chart':'c',"
            "'targetRevision':'1.2.3'}]},'status':{'operationState':{'operation':{'info':[{'name':'"
            "necoops',"
            "'value':'T'}]},'phase':'Succeeded','syncResult':{'revisions':['" B "','1.2.3']}}}}",
     {OURS},
     ARGOCD_FAILED,
     "instead of"},
};

static cJSON *from_quoted(const char *text)
{
    autofree char *copy = xstrdup(text);
    autoerr struct err err = ERR_INIT;
    cJSON *json = NULL;

    for (char *c = copy; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    if (json_parse(copy, strlen(copy), "case", &json, &err) != 0) {
        fail_msg("%s: %s", err_text(&err), copy);
    }
    return json;
}

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct given *given = &cases[i];
        autojson cJSON *json = from_quoted(given->app);
        autoerr struct err err = ERR_INIT;
        autoapp struct argocd_app app = {0};
        struct argocd_wanted wanted = given->wanted;
        autofree char *reason = NULL;

        wanted.repo_url = REPO;
        wanted.revision = wanted.target = A;
        assert_int_equal(argocd_app_parse(json, &app, &err), 0);
        enum argocd_verdict verdict = argocd_judge(&app, &wanted, &reason);
        if (verdict != given->verdict || !reason != !given->reason ||
            (reason && !strstr(reason, given->reason))) {
            fail_msg("%s: %s '%s'", given->name, argocd_verdict_name(verdict),
                     reason ? reason : "");
        }
    }
}

static void test_a_foreign_application_may_run_any_revision(void **state)
{
    autojson cJSON *json = from_quoted(
        "{" META
        ",'spec':{'source':{'repoURL':'https://other/x','path':'p','targetRevision':'v1'}},"
        "'status':{'sync':{'status':'Synced','revision':'" B "','comparedTo':{'source':{'repoURL':"
        "'https://other/x','path':'p','targetRevision':'v1'}}},'health':{'status':'Healthy'}}}");
    autoerr struct err err = ERR_INIT;
    autoapp struct argocd_app app = {0};
    struct argocd_wanted wanted = {.repo_url = REPO};
    autofree char *reason = NULL;

    (void)state;
    assert_int_equal(argocd_app_parse(json, &app, &err), 0);
    assert_false(argocd_app_is_from(&app, REPO));
    assert_int_equal(argocd_judge(&app, &wanted, &reason), ARGOCD_DONE);
}

static void test_an_application_without_a_name_is_refused(void **state)
{
    autojson cJSON *json = from_quoted("{'spec':{}}");
    autoerr struct err err = ERR_INIT;
    struct argocd_app app;

    (void)state;
    assert_int_equal(argocd_app_parse(json, &app, &err), -1);
    assert_int_equal(err.code, ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_a_foreign_application_may_run_any_revision),
        cmocka_unit_test(test_an_application_without_a_name_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
