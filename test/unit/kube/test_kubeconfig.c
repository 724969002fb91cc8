#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/repository.h"
#include "necoops/kube/kubeconfig.h"

#define CONFIG                                                                                     \
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                         \
    "contexts:\n- {name: one, context: {cluster: c, user: u, namespace: apps}}\n"                  \
    "- {name: two, context: {cluster: d, user: v}}\n- {name: lost, context: {cluster: gone}}\n"    \
    "clusters:\n- name: c\n  cluster: {server: 'https://c.example.com:6443/', "                    \
    "certificate-authority-data: Y2E=, tls-server-name: kubernetes, proxy-url: "                   \
    "'socks5://p:1080'}\n"                                                                         \
    "- {name: d, cluster: {server: 'https://d.example.com', insecure-skip-tls-verify: true}}\n"    \
    "users:\n- {name: u, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}\n"      \
    "- {name: v, user: {token: secret, as: jane, as-groups: [dev, ops]}}\n"

static int read_config(const char *text, const char *context, struct kubeconfig *out,
                       struct err *err)
{
    return kubeconfig_parse(text, strlen(text), "conf", "/etc", context, out, err);
}

static void test_the_current_context(void **state)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(read_config(CONFIG, NULL, &config, &err), 0);
    assert_string_equal(config.server, "https://c.example.com:6443");
    assert_string_equal(config.ca_pem, "ca");
    assert_string_equal(config.cert_pem, "cert");
    assert_string_equal(config.key_pem, "key");
    assert_string_equal(config.server_name, "kubernetes");
    assert_string_equal(config.proxy, "socks5://p:1080");
    assert_string_equal(config.space, "apps");
    assert_string_equal(config.source, "conf, context 'one'");
    assert_false(config.insecure);
}

static void test_another_context(void **state)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(read_config(CONFIG, "two", &config, &err), 0);
    assert_string_equal(config.token, "secret");
    assert_string_equal(config.impersonate, "jane");
    assert_int_equal(config.impersonate_groups.len, 2);
    assert_true(config.insecure);
    assert_null(config.ca_pem);
}

static void test_faults_name_themselves(void **state)
{
    static const struct {
        const char *text, *context, *error;
    } faults[] = {
        {CONFIG, "three", "conf: there is no context 'three'"},
        {CONFIG, "lost", "conf: context 'lost' names the cluster 'gone', which is missing"},
        {"a: [", NULL, "conf:"},
        {"[]", NULL, "'conf' is no kubeconfig: it holds no mapping"},
        {"{}", NULL, "conf: no 'current-context'; name a context"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c}}], clusters: [{name: c, "
         "cluster: {server: nonsense}}]}",
         NULL, "conf: server 'nonsense' is no URL"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c}}], clusters: [{name: c, "
         "cluster: {server: 'https://x', certificate-authority-data: '%%%'}}]}",
         NULL, "conf: 'certificate-authority-data' is no base64"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: "
         "[{name: c, cluster: {server: 'https://x'}}], users: [{name: u, user: {token: 12}}]}",
         NULL, "conf: 'token' is not a string"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: "
         "[{name: c, cluster: {server: 'https://x'}}], users: [{name: u, user: {auth-provider: "
         "{name: gcp}}}]}",
         NULL, "use an 'exec' plugin or a token"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: "
         "[{name: c, cluster: {server: 'https://x'}}], users: [{name: u, user: "
         "{client-certificate-data: Y2E=}}]}",
         NULL, "a client certificate and its key go together"},
        {"{current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], clusters: "
         "[{name: c, cluster: {server: 'https://x'}}], users: [{name: u, user: "
         "{client-certificate: none.crt, client-key: none.key}}]}",
         NULL, "conf: "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        autokubeconfig struct kubeconfig config = {0};
        autoerr struct err err = ERR_INIT;

        assert_int_equal(read_config(faults[i].text, faults[i].context, &config, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        if (!strstr(err_text(&err), faults[i].error)) {
            fail_msg("'%s' does not say '%s'", err_text(&err), faults[i].error);
        }
    }
}

static void test_no_secret_in_errors(void **state)
{
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(read_config(CONFIG "  bad", "two", &config, &err), -1);
    assert_null(strstr(err_text(&err), "secret"));
}

/* ---- files ---- */

static struct run run_with(const char *const *variables)
{
    return (struct run){
        .clock = &clock_system, .wake_fd = -1, .deadline = RUN_NO_DEADLINE, .environ = variables};
}

static void test_several_files_first_value_wins(void **state)
{
    struct repository folder;
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    repository_make(&folder);
    repository_write(&folder, "a/conf",
                     "current-context: x\nclusters: [{name: c, cluster: {server: "
                     "'https://first'}}]\n");
    repository_write(&folder, "b/conf",
                     "current-context: y\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
                     "clusters: [{name: c, cluster: {server: 'https://second'}}]\n"
                     "users: [{name: u, user: {tokenFile: token, client-certificate: u.crt, "
                     "client-key: u.key}}]\n");
    repository_write(&folder, "b/u.crt", "CERT");
    repository_write(&folder, "b/u.key", "KEY");
    autofree char *variable =
        xasprintf("KUBECONFIG=%s/missing:%s/a/conf:%s/b/conf", folder.dir, folder.dir, folder.dir);
    const char *variables[] = {variable, NULL};
    struct run run = run_with(variables);

    assert_int_equal(kubeconfig_load(&run, NULL, NULL, &config, &err), 0);
    assert_string_equal(config.server, "https://first");
    assert_string_equal(config.cert_pem, "CERT"); /* relative to the file that names it */
    autofree char *token = xasprintf("%s/b/token", folder.dir);
    assert_string_equal(config.token_file, token);
    repository_remove(&folder);
}

static void test_no_kubeconfig_at_all(void **state)
{
    const char *variables[] = {"HOME=/nowhere", NULL};
    struct run run = run_with(variables);
    autokubeconfig struct kubeconfig config = {0};
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(kubeconfig_load(&run, NULL, NULL, &config, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err_text(&err),
                        "there is no kubeconfig: neither $KUBECONFIG nor ~/.kube/config: this is "
                        "no pod of a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT "
                        "are not set");
    assert_int_equal(kubeconfig_load(&run, "/nowhere/conf", NULL, &config, &err), -1);
    assert_non_null(strstr(err_text(&err), "/nowhere/conf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_current_context),
        cmocka_unit_test(test_another_context),
        cmocka_unit_test(test_faults_name_themselves),
        cmocka_unit_test(test_no_secret_in_errors),
        cmocka_unit_test(test_several_files_first_value_wins),
        cmocka_unit_test(test_no_kubeconfig_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
