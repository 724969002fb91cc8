#include "necoops/kube/kubeconfig.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"
#include "necoops/yaml/yaml.h"

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

/* One kubeconfig file as read. */
struct file {
    char *name;
    char *dir;
    cJSON *doc;
};

struct files {
    struct file items[16];
    size_t len;
};

static void files_clear(struct files *files)
{
    for (size_t i = 0; i < files->len; i++) {
        free(files->items[i].name);
        free(files->items[i].dir);
        cJSON_Delete(files->items[i].doc);
    }
    files->len = 0;
}

static int files_add(struct files *files, const char *text, size_t len, const char *name,
                     const char *dir, struct err *err)
{
    cJSON *doc;

    if (files->len == ARRAY_LEN(files->items)) {
        return err_set(err, ERR_USAGE, "more than %zu kubeconfig files", files->len);
    }
    if (yaml_parse_one(text, len, name, &doc, err) != 0) {
        err->code = ERR_USAGE;
        return -1;
    }
    if (!cJSON_IsObject(doc)) {
        cJSON_Delete(doc);
        return err_set(err, ERR_USAGE, "'%s' is no kubeconfig: it holds no mapping", name);
    }
    files->items[files->len++] =
        (struct file){.name = xstrdup(name), .dir = xstrdup(dir), .doc = doc};
    return 0;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
}

static int files_read(struct files *files, const char *path, bool may_miss, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    autofree char *dir = folder_of(path);

    if (fs_read(path, &text, err) != 0) {
        if (err->code == ERR_NOT_FOUND && may_miss) {
            err_clear(err);
            return 0;
        }
        return err_prefix(err, "kubeconfig");
    }
    return files_add(files, text.data, text.len, path, dir, err);
}

/* The entry of this name in `list` ("clusters") of the first file that has it. */
static const cJSON *find_entry(const struct files *files, const char *list, const char *member,
                               const char *name, const struct file **file)
{
    for (size_t i = 0; i < files->len; i++) {
        const cJSON *entry;

        cJSON_ArrayForEach(entry, json_at(files->items[i].doc, list))
        {
            if (strcmp(json_str_or(entry, "name", ""), name) == 0) {
                *file = &files->items[i];
                return json_at(entry, member);
            }
        }
    }
    return NULL;
}

/* A string member; absent or null leaves NULL. */
static int take(const cJSON *from, const char *key, const struct file *file, char **out,
                struct err *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(from, key);

    if (!value || cJSON_IsNull(value)) {
        return 0;
    }
    if (!cJSON_IsString(value)) {
        return err_set(err, ERR_USAGE, "%s: '%s' is not a string", file->name, key);
    }
    if (value->valuestring[0]) {
        free(*out);
        *out = xstrdup(value->valuestring);
    }
    return 0;
}

static int read_pem(const struct file *file, const char *path, char **out, struct err *err)
{
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    autofree char *full = path_join(file->dir, path);

    if (fs_read(full, &text, err) != 0) {
        err->code = ERR_USAGE;
        return err_prefix(err, "%s", file->name);
    }
    free(*out);
    *out = buf_steal(&text);
    return 0;
}

/* KEY-data (base64), which wins, or the file KEY. */
static int take_pem(const cJSON *from, const char *key, const struct file *file, char **out,
                    struct err *err)
{
    autofree char *data_key = xasprintf("%s-data", key);
    autofree char *data = NULL;
    autofree char *path = NULL;
    autobuf struct buf bytes = BUF_INIT(BUF_MEDIUM);

    if (take(from, data_key, file, &data, err) != 0 || take(from, key, file, &path, err) != 0) {
        return -1;
    }
    if (!data) {
        return path ? read_pem(file, path, out, err) : 0;
    }
    if (base64_decode(data, strlen(data), &bytes) != 0) {
        return err_set(err, ERR_USAGE, "%s: '%s' is no base64", file->name, data_key);
    }
    free(*out);
    *out = buf_steal(&bytes);
    return 0;
}

static int read_cluster(const cJSON *cluster, const struct file *file, struct kubeconfig *out,
                        struct err *err)
{
    struct url_parts parts;

    if (take(cluster, "server", file, &out->server, err) != 0 ||
        take(cluster, "proxy-url", file, &out->proxy, err) != 0 ||
        take(cluster, "tls-server-name", file, &out->server_name, err) != 0 ||
        take_pem(cluster, "certificate-authority", file, &out->ca_pem, err) != 0) {
        return -1;
    }
    out->insecure = json_bool(cluster, "insecure-skip-tls-verify", false);
    if (!out->server) {
        return err_set(err, ERR_USAGE, "%s: the cluster has no 'server'", file->name);
    }
    if (!url_split(out->server, &parts)) {
        return err_set(err, ERR_USAGE, "%s: server '%s' is no URL", file->name, out->server);
    }
    while (text_ends(out->server, "/")) {
        out->server[strlen(out->server) - 1] = '\0';
    }
    return 0;
}

static int read_exec(const cJSON *user, const cJSON *cluster, const struct file *file,
                     struct kubeconfig *out, struct err *err)
{
    const cJSON *exec = json_at(user, "exec");
    struct kube_exec *plugin = &out->exec;
    const cJSON *item;

    if (!cJSON_IsObject(exec)) {
        return 0;
    }
    if (take(exec, "command", file, &plugin->command, err) != 0 ||
        take(exec, "apiVersion", file, &plugin->api_version, err) != 0 ||
        take(exec, "installHint", file, &plugin->install_hint, err) != 0) {
        return -1;
    }
    if (!plugin->command) {
        return err_set(err, ERR_USAGE, "%s: 'exec' has no 'command'", file->name);
    }
    if (strchr(plugin->command, '/')) {
        char *full = path_join(file->dir, plugin->command);

        free(plugin->command);
        plugin->command = full;
    }
    cJSON_ArrayForEach(item, json_at(exec, "args"))
    {
        strv_add(&plugin->args, cJSON_IsString(item) ? item->valuestring : "");
    }
    cJSON_ArrayForEach(item, json_at(exec, "env"))
    {
        strv_addf(&plugin->environ, "%s=%s", json_str_or(item, "name", ""),
                  json_str_or(item, "value", ""));
    }
    if (json_bool(exec, "provideClusterInfo", false)) {
        plugin->cluster_info = json_copy(cluster);
    }
    return 0;
}

static int read_user(const cJSON *user, const cJSON *cluster, const struct file *file,
                     struct kubeconfig *out, struct err *err)
{
    const cJSON *group;

    if (json_at(user, "auth-provider")) {
        return err_set(err, ERR_USAGE,
                       "%s: 'auth-provider' is no longer part of Kubernetes; use an 'exec' plugin "
                       "or a token",
                       file->name);
    }
    if (take_pem(user, "client-certificate", file, &out->cert_pem, err) != 0 ||
        take_pem(user, "client-key", file, &out->key_pem, err) != 0 ||
        take(user, "token", file, &out->token, err) != 0 ||
        take(user, "tokenFile", file, &out->token_file, err) != 0 ||
        take(user, "username", file, &out->username, err) != 0 ||
        take(user, "password", file, &out->password, err) != 0 ||
        take(user, "as", file, &out->impersonate, err) != 0) {
        return -1;
    }
    if (!out->cert_pem != !out->key_pem) {
        return err_set(err, ERR_USAGE, "%s: a client certificate and its key go together",
                       file->name);
    }
    if (out->token_file) {
        char *full = path_join(file->dir, out->token_file);

        free(out->token_file);
        out->token_file = full;
    }
    cJSON_ArrayForEach(group, json_at(user, "as-groups"))
    {
        strv_add(&out->impersonate_groups, cJSON_IsString(group) ? group->valuestring : "");
    }
    return read_exec(user, cluster, file, out, err);
}

static const char *current_context(const struct files *files)
{
    for (size_t i = 0; i < files->len; i++) {
        const char *name = json_str_or(files->items[i].doc, "current-context", "");

        if (name[0]) {
            return name;
        }
    }
    return NULL;
}

static int no_context(const struct files *files, const char *context, struct err *err)
{
    autostrv struct strv names = STRV_INIT;

    for (size_t i = 0; i < files->len; i++) {
        const cJSON *entry;

        cJSON_ArrayForEach(entry, json_at(files->items[i].doc, "contexts"))
        {
            strv_add(&names, json_str_or(entry, "name", ""));
        }
    }
    autofree char *list = strv_join(&names, "', '");
    return err_set(err, ERR_USAGE, "%s: there is no context '%s'; it has %s%s%s",
                   files->items[0].name, context, names.len ? "'" : "none", list,
                   names.len ? "'" : "");
}

static int resolve(const struct files *files, const char *context, struct kubeconfig *out,
                   struct err *err)
{
    const char *first = files->items[0].name;
    const struct file *file = NULL, *cluster_file = NULL, *user_file = NULL;
    const cJSON *entry, *cluster, *user = NULL;
    const char *name;

    context = context ? context : current_context(files);
    if (!context) {
        return err_set(err, ERR_USAGE, "%s: no 'current-context'; name a context", first);
    }
    entry = find_entry(files, "contexts", "context", context, &file);
    if (!entry) {
        return no_context(files, context, err);
    }
    name = json_str_or(entry, "cluster", "");
    cluster = find_entry(files, "clusters", "cluster", name, &cluster_file);
    if (!cluster) {
        return err_set(err, ERR_USAGE, "%s: context '%s' names the cluster '%s', which is missing",
                       file->name, context, name);
    }
    name = json_str_or(entry, "user", "");
    if (name[0] && !(user = find_entry(files, "users", "user", name, &user_file))) {
        return err_set(err, ERR_USAGE, "%s: context '%s' names the user '%s', which is missing",
                       file->name, context, name);
    }
    out->source = xasprintf("%s, context '%s'", file->name, context);
    if (take(entry, "namespace", file, &out->space, err) != 0 ||
        read_cluster(cluster, cluster_file, out, err) != 0) {
        return -1;
    }
    return user ? read_user(user, cluster, user_file, out, err) : 0;
}

static int finish(const struct files *files, const char *context, struct kubeconfig *out,
                  struct err *err)
{
    struct kubeconfig config = {0};

    if (resolve(files, context, &config, err) != 0) {
        kubeconfig_clear(&config);
        return -1;
    }
    *out = config;
    return 0;
}

int kubeconfig_parse(const char *text, size_t len, const char *name, const char *dir,
                     const char *context, struct kubeconfig *out, struct err *err)
{
    CLEANUP(files_clear) struct files files = {.len = 0};

    if (files_add(&files, text, len, name, dir, err) != 0) {
        return -1;
    }
    return finish(&files, context, out, err);
}

int kubeconfig_in_cluster(const struct run *run, struct kubeconfig *out, struct err *err)
{
    const char *host = run_env(run, "KUBERNETES_SERVICE_HOST");
    const char *port = run_env(run, "KUBERNETES_SERVICE_PORT");
    autobuf struct buf ca = BUF_INIT(BUF_SMALL);

    if (!host || !port) {
        return err_set(err, ERR_NOT_FOUND,
                       "this is no pod of a cluster: KUBERNETES_SERVICE_HOST and "
                       "KUBERNETES_SERVICE_PORT are not set");
    }
    if (!fs_exists(POD_FOLDER "/token")) {
        return err_set(err, ERR_NOT_FOUND, "this pod has no service account: '%s' is missing",
                       POD_FOLDER "/token");
    }
    if (fs_read(POD_FOLDER "/ca.crt", &ca, err) != 0) {
        return err_prefix(err, "the pod's service account");
    }
    *out = (struct kubeconfig){
        .source = xstrdup("the pod's service account"),
        .server = strchr(host, ':') ? xasprintf("https://[%s]:%s", host, port)
                                    : xasprintf("https://%s:%s", host, port),
        .ca_pem = buf_steal(&ca),
        .token_file = xstrdup(POD_FOLDER "/token"),
    };
    return 0;
}

int kubeconfig_load(const struct run *run, const char *path, const char *context,
                    struct kubeconfig *out, struct err *err)
{
    CLEANUP(files_clear) struct files files = {.len = 0};
    autostrv struct strv paths = STRV_INIT;
    const char *several = run_env(run, "KUBECONFIG");
    const char *home = run_env(run, "HOME");

    if (path) {
        strv_add(&paths, path);
    } else if (several) {
        strv_split(&paths, several, ':');
    } else if (home) {
        strv_addf(&paths, "%s/.kube/config", home);
    }
    for (size_t i = 0; i < paths.len; i++) {
        if (files_read(&files, paths.items[i], !path, err) != 0) {
            return -1;
        }
    }
    if (files.len == 0 && kubeconfig_in_cluster(run, out, err) != 0) {
        return err_prefix(err, "there is no kubeconfig: neither $KUBECONFIG nor ~/.kube/config");
    }
    if (files.len == 0) {
        return 0;
    }
    return finish(&files, context, out, err);
}

static void wipe(char *secret)
{
    if (secret) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void kubeconfig_clear(struct kubeconfig *config)
{
    free(config->source);
    free(config->server);
    free(config->space);
    free(config->proxy);
    free(config->server_name);
    free(config->ca_pem);
    free(config->cert_pem);
    wipe(config->key_pem);
    wipe(config->token);
    free(config->token_file);
    free(config->username);
    wipe(config->password);
    free(config->impersonate);
    strv_clear(&config->impersonate_groups);
    free(config->exec.command);
    strv_clear(&config->exec.args);
    strv_clear(&config->exec.environ);
    free(config->exec.api_version);
    free(config->exec.install_hint);
    cJSON_Delete(config->exec.cluster_info);
    *config = (struct kubeconfig){0};
}
