/* Exec credential plugins (https://kubernetes.io/docs/reference/access-authn-authz/authentication/,
 * client-go credential plugins). */
#include "internal.h"

#include <string.h>
#include "necoops/base/proc.h"
#include "necoops/base/timefmt.h"

#define API_GROUP  "client.authentication.k8s.io/"
#define TIMEOUT_MS 60000

void kube_credential_clear(struct kube_credential *credential)
{
    if (credential->token) {
        explicit_bzero(credential->token, strlen(credential->token));
    }
    if (credential->key_pem) {
        explicit_bzero(credential->key_pem, strlen(credential->key_pem));
    }
    free(credential->token);
    free(credential->cert_pem);
    free(credential->key_pem);
    *credential = (struct kube_credential){0};
}

/* spec.cluster of ExecCredential: the fields have other names than in the kubeconfig. */
static cJSON *cluster_info(const cJSON *cluster)
{
    static const char *const strings[] = {"server", "tls-server-name", "proxy-url",
                                          "certificate-authority-data"};
    cJSON *info = json_object();
    const cJSON *extension;

    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        json_set_str(info, strings[i], json_str(cluster, strings[i]));
    }
    if (json_bool(cluster, "insecure-skip-tls-verify", false)) {
        json_set_bool(info, "insecure-skip-tls-verify", true);
    }
    cJSON_ArrayForEach(extension, json_at(cluster, "extensions"))
    {
        if (strcmp(json_str_or(extension, "name", ""), API_GROUP "exec") == 0 &&
            json_at(extension, "extension")) {
            json_set(info, "config", json_copy(json_at(extension, "extension")));
        }
    }
    return info;
}

static void fill_environ(const struct run *run, const struct kube_exec *exec, struct strv *variables)
{
    autojson cJSON *info = json_object();
    cJSON *spec;

    json_set_str(info, "apiVersion", exec->api_version);
    json_set_str(info, "kind", "ExecCredential");
    spec = json_set_object(info, "spec");
    json_set_bool(spec, "interactive", false);
    if (exec->cluster_info) {
        json_set(spec, "cluster", cluster_info(exec->cluster_info));
    }
    autofree char *text = json_print(info);
    /* the first of a name counts: what is added comes before what was there */
    strv_addf(variables, "KUBERNETES_EXEC_INFO=%s", text);
    for (size_t i = 0; i < exec->environ.len; i++) {
        strv_add(variables, exec->environ.items[i]);
    }
    for (const char *const *e = run->environ; e && *e; e++) {
        size_t name = strcspn(*e, "=") + 1;
        bool known = strncmp(*e, "KUBERNETES_EXEC_INFO=", name) == 0;

        for (size_t i = 0; i < exec->environ.len && !known; i++) {
            known = strncmp(*e, exec->environ.items[i], name) == 0;
        }
        if (!known) {
            strv_add(variables, *e);
        }
    }
}

static int read_answer(const struct kube_exec *exec, const cJSON *answer,
                       struct kube_credential *out, struct err *err)
{
    const char *token = json_str(answer, "status.token");
    const char *cert = json_str(answer, "status.clientCertificateData");
    const char *key = json_str(answer, "status.clientKeyData");
    const char *expires = json_str(answer, "status.expirationTimestamp");
    int64_t expires_ms = 0;

    if (strcmp(json_str_or(answer, "kind", ""), "ExecCredential") != 0 ||
        strcmp(json_str_or(answer, "apiVersion", ""), exec->api_version) != 0) {
        return err_set(err, ERR_DENIED, "credential plugin '%s' answered no ExecCredential of '%s'",
                       exec->command, exec->api_version);
    }
    if (!token && !(cert && key)) {
        return err_set(err, ERR_DENIED,
                       "credential plugin '%s' gave neither a token nor a certificate with its key",
                       exec->command);
    }
    if (expires && time_parse_rfc3339(expires, &expires_ms, err) != 0) {
        return err_prefix(err, "credential plugin '%s'", exec->command);
    }
    *out = (struct kube_credential){
        .token = token ? xstrdup(token) : NULL,
        .cert_pem = cert && key ? xstrdup(cert) : NULL,
        .key_pem = cert && key ? xstrdup(key) : NULL,
        .expires_ms = expires_ms,
    };
    return 0;
}

static int run_plugin(const struct run *run, const struct kube_exec *exec, struct buf *out,
                      struct err *err)
{
    autostrv struct strv argv = STRV_INIT;
    autostrv struct strv variables = STRV_INIT;
    struct proc_result result = {.out = BUF_INIT(BUF_SMALL * 4), .error = BUF_INIT(BUF_SMALL)};
    struct proc_spec spec = {.timeout_ms = TIMEOUT_MS};
    int rc;

    strv_add(&argv, exec->command);
    for (size_t i = 0; i < exec->args.len; i++) {
        strv_add(&argv, exec->args.items[i]);
    }
    fill_environ(run, exec, &variables);
    spec.argv = (const char *const *)argv.items;
    spec.environ = (const char *const *)variables.items;
    rc = proc_check(run, &spec, &result, err);
    if (rc == 0) {
        rc = buf_add(out, result.out.data, result.out.len);
    } else if (err->code == ERR_NOT_FOUND && exec->install_hint) {
        err_set(err, ERR_DENIED, "credential plugin '%s' is not installed: %s", exec->command,
                exec->install_hint);
    } else if (err->code == ERR_FAILED || err->code == ERR_NOT_FOUND) {
        err->code = ERR_DENIED;
        err_prefix(err, "credential plugin '%s'", exec->command);
    }
    explicit_bzero(result.out.len ? result.out.data : (char[1]){0}, result.out.len);
    buf_clear(&result.out);
    buf_clear(&result.error);
    return rc;
}

int kube_exec_run(const struct run *run, const struct kubeconfig *config,
                  struct kube_credential *out, struct err *err)
{
    const struct kube_exec *exec = &config->exec;
    autobuf struct buf text = BUF_INIT(BUF_SMALL * 4);
    autojson cJSON *answer = NULL;

    if (!exec->api_version || (strcmp(exec->api_version, API_GROUP "v1") != 0 &&
                               strcmp(exec->api_version, API_GROUP "v1beta1") != 0)) {
        return err_set(err, ERR_USAGE,
                       "%s: exec plugins of '%s' are not understood, only " API_GROUP
                       "v1 and v1beta1",
                       config->source, exec->api_version ? exec->api_version : "");
    }
    if (run_plugin(run, exec, &text, err) != 0) {
        return -1;
    }
    if (json_parse(text.data, text.len, exec->command, &answer, err) != 0) {
        err->code = ERR_DENIED;
        return err_prefix(err, "credential plugin");
    }
    return read_answer(exec, answer, out, err);
}
