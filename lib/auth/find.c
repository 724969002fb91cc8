/* Where credentials come from, in this order: a token in the environment, JSON in the environment,
 * a file that the environment names, the file that gcloud leaves, the metadata server. */
#include "auth/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

#define FILE_MAX BUF_SMALL

static const struct credential_kind *const kinds[] = {
    &kind_service_account,
    &kind_authorized_user,
    &kind_external_account,
    &kind_impersonated,
};

void credential_free(struct credential *credential)
{
    if (credential == NULL)
        return;
    credential_free(credential->source);
    cJSON_Delete(credential->json);
    free(credential->secret);
    free(credential->origin);
    free(credential->account);
    free(credential->project);
    free(credential);
}

int credential_need(const struct credential *credential, const char *const *keys, struct err *err)
{
    for (; *keys != NULL; keys++) {
        const char *value = json_str(credential->json, *keys);

        if (value == NULL || value[0] == '\0')
            return err_set(err, ERR_DENIED, "the credential in %s lacks '%s'; fetch it anew",
                           credential->origin, *keys);
    }
    return 0;
}

static struct credential *credential_new(const struct credential_kind *kind, const char *origin)
{
    struct credential *credential = xcalloc(1, sizeof(*credential));

    credential->kind = kind;
    credential->origin = xstrdup(origin);
    return credential;
}

static const struct credential_kind *find_kind(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i]->type, type) == 0)
            return kinds[i];
    }
    return NULL;
}

/* What stands where a credential's type should: often a client secret, or something else's JSON. */
static int unknown_type(const char *type, const char *origin, struct err *err)
{
    if (type == NULL)
        return err_set(
            err, ERR_DENIED,
            "the JSON in %s is no credential: it has no 'type'; it takes the key file of "
            "a service account, or what 'gcloud auth application-default login' writes",
            origin);
    autofree char *visible = text_visible(type, strnlen(type, 60), false);

    return err_set(err, ERR_DENIED,
                   "the credential in %s is of type '%s', which is not supported (service_account, "
                   "authorized_user, external_account and impersonated_service_account are)",
                   origin, visible);
}

int credential_from_json(cJSON *json, const char *origin, struct credential **out, struct err *err)
{
    const char *type = json_str(json, "type");
    const struct credential_kind *kind = type != NULL ? find_kind(type) : NULL;
    struct credential *credential;

    if (kind == NULL) {
        unknown_type(type, origin, err);
        cJSON_Delete(json);
        return -1;
    }
    credential = credential_new(kind, origin);
    credential->json = json;
    if (kind->check(credential, err) < 0) {
        credential_free(credential);
        return -1;
    }
    *out = credential;
    return 0;
}

static int from_text(const char *text, size_t len, const char *origin, struct credential **out,
                     struct err *err)
{
    autoerr struct err why = ERR_INIT;
    cJSON *json = NULL;

    if (json_parse(text, len, origin, &json, &why) < 0)
        return err_set(err, ERR_DENIED, "the credential in %s is not valid JSON; fetch it anew",
                       origin);
    return credential_from_json(json, origin, out, err);
}

/* ---- the environment ---- */

static int from_token(const char *token, struct credential **out)
{
    struct credential *credential = credential_new(&kind_static, "in GOOGLE_OAUTH_ACCESS_TOKEN");
    size_t len = strlen(token);

    while (len > 0 && strchr(" \t\r\n", token[len - 1]) != NULL)
        len--; /* a file read into a variable ends with a newline */
    credential->secret = xstrndup(token, len);
    credential->account = xstrdup("the token in GOOGLE_OAUTH_ACCESS_TOKEN");
    *out = credential;
    return 0;
}

static bool is_path(const char *value)
{
    return *value == '/' || *value == '~' || *value == '.' || text_ends(value, ".json");
}

/* CI systems keep it as it is, or as base64, because of the line ends in it. */
static int from_variable(const char *name, const char *value, struct credential **out,
                         struct err *err)
{
    autobuf struct buf decoded = BUF_INIT(FILE_MAX);
    const char *start = value + strspn(value, " \t\r\n");

    if (*start == '{')
        return from_text(start, strlen(start), name, out, err);
    if (base64_decode(start, strlen(start), &decoded) < 0 ||
        decoded.data[strspn(decoded.data, " \t\r\n")] != '{')
        return err_set(err, ERR_DENIED,
                       "%s holds neither the JSON of a credential nor base64 of it; %s, or unset it",
                       name,
                       is_path(start) ? "it looks like the name of a file: that goes into "
                                        "GOOGLE_APPLICATION_CREDENTIALS"
                                      : "set it to the content of a service account's key file");
    return from_text(decoded.data, decoded.len, name, out, err);
}

/* ---- files ---- */

static void warn_about_mode(const struct run *run, const char *path)
{
    struct stat info;

    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IROTH) != 0)
        log_warning(run->log,
                    "the credential in '%s' can be read by everyone on this machine: chmod 600 it",
                    path);
}

/* A federated one mostly tells only where to get a token. */
static bool holds_secret(const struct credential *credential)
{
    return credential->kind != &kind_external_account ||
           json_str(credential->json, "client_secret") != NULL;
}

static int from_file(const struct run *run, const char *path, const char *named_by,
                     struct credential **out, struct err *err)
{
    autobuf struct buf text = BUF_INIT(FILE_MAX);
    autoerr struct err why = ERR_INIT;
    autofree char *origin = xasprintf("'%s'", path);

    if (fs_read(path, &text, &why) < 0)
        return err_set(err, ERR_DENIED, "no credentials: %s (%s); correct that", err_text(&why),
                       named_by);
    if (from_text(text.data, text.len, origin, out, err) < 0)
        return -1;
    if (holds_secret(*out))
        warn_about_mode(run, path);
    return 0;
}

/* Where gcloud leaves it; caller frees, NULL: there is no home. */
static char *gcloud_file(const struct run *run)
{
    const char *config = run_env(run, "CLOUDSDK_CONFIG");
    const char *home = run_env(run, "HOME");

    if (config != NULL)
        return path_join(config, "application_default_credentials.json");
    if (home == NULL)
        return NULL;
    return path_join(home, ".config/gcloud/application_default_credentials.json");
}

/* ---- the metadata server ---- */

/* The firmware names the maker: no need to ask the network, and to wait for it elsewhere. */
static bool on_compute_engine(const struct run *run)
{
    autobuf struct buf product = BUF_INIT(256);
    autoerr struct err ignored = ERR_INIT;

    if (run_env(run, "GCE_METADATA_HOST") != NULL)
        return true;
    return fs_read("/sys/class/dmi/id/product_name", &product, &ignored) == 0 &&
           text_starts(product.data, "Google");
}

static int from_metadata(struct credential **out)
{
    *out = credential_new(&kind_metadata, "");
    (*out)->account = xstrdup("the service account of this instance");
    return 0;
}

static int nothing_found(const struct run *run, const char *gcloud, struct err *err)
{
    const char *emulator = run_env(run, "NECOOPS_EMULATOR");

    if (emulator != NULL)
        return err_set(
            err, ERR_DENIED,
            "no credentials for the emulator at '%s': set GOOGLE_APPLICATION_CREDENTIALS "
            "to the key file that necoops-emulator wrote (it prints the line to export)",
            emulator);
    return err_set(
        err, ERR_DENIED,
        "no credentials: GOOGLE_OAUTH_ACCESS_TOKEN, GCLOUD_SERVICE_KEY, "
        "GCLOUD_SERVICE_ACCOUNT and GOOGLE_APPLICATION_CREDENTIALS are not set, there is "
        "no '%s', and this is no Compute Engine instance; run 'gcloud auth "
        "application-default login' or name the key file of a service account in "
        "GOOGLE_APPLICATION_CREDENTIALS",
        gcloud != NULL ? gcloud : "application_default_credentials.json");
}

int credential_find(const struct run *run, struct credential **out, struct err *err)
{
    static const char *const variables[] = {"GCLOUD_SERVICE_KEY", "GCLOUD_SERVICE_ACCOUNT"};
    const char *token = run_env(run, "GOOGLE_OAUTH_ACCESS_TOKEN");
    const char *path = run_env(run, "GOOGLE_APPLICATION_CREDENTIALS");
    autofree char *gcloud = gcloud_file(run);

    if (token != NULL)
        return from_token(token, out);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = run_env(run, variables[i]);

        if (value != NULL)
            return from_variable(variables[i], value, out, err);
    }
    if (path != NULL)
        return from_file(run, path, "named by GOOGLE_APPLICATION_CREDENTIALS", out, err);
    if (gcloud != NULL && fs_exists(gcloud))
        return from_file(run, gcloud, "left by gcloud", out, err);
    if (on_compute_engine(run))
        return from_metadata(out);
    return nothing_found(run, gcloud, err);
}
