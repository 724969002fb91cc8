/* The token of the other identity provider: in a file, at a URL, or printed by a program
 * (https://google.aip.dev/auth/4117); or in an environment variable, where CI systems put it, which
 * is a source of ours: {"environment_variable": "CIRCLE_OIDC_TOKEN_V2"}. */
#include "auth/internal.h"

#include <string.h>
#include "necoops/base/fs.h"
#include "necoops/base/proc.h"
#include "necoops/base/text.h"

#define SOURCE_MAX BUF_SMALL

/* The text itself, or a field of it. */
static int formatted(const cJSON *source, const char *text, size_t len, char **out, struct err *err)
{
    const char *type = json_str_or(source, "format.type", "text");
    const char *field = json_str(source, "format.subject_token_field_name");
    autojson cJSON *json = NULL;

    if (strcmp(type, "text") == 0) {
        while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
            len--;
        if (len == 0)
            return err_set(err, ERR_DENIED, "it is empty");
        *out = xstrndup(text, len);
        return 0;
    }
    if (strcmp(type, "json") != 0 || field == NULL)
        return err_set(err, ERR_DENIED, "'format' must be text, or json with a field name");
    if (json_parse(text, len, "subject token", &json, err) < 0)
        return -1;
    if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, field)))
        return err_set(err, ERR_DENIED, "it has no '%s'", field);
    *out = xstrdup(cJSON_GetObjectItemCaseSensitive(json, field)->valuestring);
    return 0;
}

static int from_file(const cJSON *source, const char *path, char **out, struct err *err)
{
    autobuf struct buf text = BUF_INIT(SOURCE_MAX);

    if (fs_read(path, &text, err) < 0 || formatted(source, text.data, text.len, out, err) < 0) {
        err->code = ERR_DENIED;
        return err_prefix(err, "no subject token in '%s'", path);
    }
    return 0;
}

static int from_variable(const struct run *run, const cJSON *source, const char *name, char **out,
                         struct err *err)
{
    const char *text = run_env(run, name);

    if (text == NULL)
        return err_set(err, ERR_DENIED,
                       "no subject token: the environment variable %s is not set; CI sets it only in "
                       "jobs that may have such a token",
                       name);
    if (formatted(source, text, strlen(text), out, err) < 0)
        return err_prefix(err, "no subject token in the environment variable %s", name);
    return 0;
}

static int from_url(const cJSON *source, const char *url, struct http *http, char **out,
                    struct err *err)
{
    autostrv struct strv headers = STRV_INIT;
    const cJSON *header = NULL;
    autoresponse struct http_response response = {0};
    struct http_request request = {.method = "GET",
                                   .url = url,
                                   .cap = SOURCE_MAX,
                                   .timeout_ms = 30 * 1000,
                                   .retry_ms = 30 * 1000,
                                   .what = "the subject token"};

    cJSON_ArrayForEach(header, json_at(source, "headers"))
    {
        const char *value = cJSON_IsString(header) ? header->valuestring : "";

        if (strpbrk(value, "\r\n") == NULL && strpbrk(header->string, "\r\n:") == NULL)
            strv_addf(&headers, "%s: %s", header->string, value);
    }
    request.headers = (const char *const *)headers.items;
    if (http_perform(http, &request, &response, err) < 0)
        return -1;
    if (response.status != 200) {
        autofree char *summary = http_summary(&response);

        return err_set(err, ERR_DENIED, "no subject token: its URL %s", summary);
    }
    if (formatted(source, response.body.data, response.body.len, out, err) < 0)
        return err_prefix(err, "no subject token in the answer");
    return 0;
}

/* ---- programs ---- */

/* What the program printed, or left in its output file. */
static int from_program_output(const struct run *run, const char *text, size_t len, char **out,
                               struct err *err)
{
    autojson cJSON *json = NULL;
    const char *token;
    int64_t expires = 0;

    if (json_parse(text, len, "output", &json, err) < 0)
        return -1;
    if (!json_bool(json, "success", false)) {
        const char *message = json_str_or(json, "message", "no reason given");
        autofree char *visible = text_visible(message, strnlen(message, 300), false);

        return err_set(err, ERR_DENIED, "it failed: %s", visible);
    }
    if (json_i64(json, "expiration_time", &expires) && expires * 1000 <= run_wall_ms(run))
        return err_set(err, ERR_DENIED, "its token has expired");
    token = json_str_or(json, "id_token", json_str(json, "saml_response"));
    if (token == NULL)
        return err_set(err, ERR_DENIED, "it gave no token");
    *out = xstrdup(token);
    return 0;
}

static bool from_output_file(const struct run *run, const char *path, char **out)
{
    autobuf struct buf text = BUF_INIT(SOURCE_MAX);
    autoerr struct err ignored = ERR_INIT;

    return path != NULL && fs_read(path, &text, &ignored) == 0 &&
           from_program_output(run, text.data, text.len, out, &ignored) == 0;
}

static void program_environment(const struct credential *credential, const struct run *run,
                                struct strv *to)
{
    const char *url = json_str(credential->json, "service_account_impersonation_url");
    const char *file = json_str(credential->json, "credential_source.executable.output_file");

    for (const char *const *at = run->environ; at != NULL && *at != NULL; at++)
        strv_add(to, *at);
    strv_addf(to, "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=%s", json_str(credential->json, "audience"));
    strv_addf(to, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=%s",
              json_str(credential->json, "subject_token_type"));
    strv_add(to, "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0");
    if (url != NULL)
        strv_addf(to, "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=%s", credential->account);
    if (file != NULL)
        strv_addf(to, "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=%s", file);
}

static int run_program(const struct credential *credential, const cJSON *program,
                       const struct run *run, char **out, struct err *err)
{
    autostrv struct strv argv = STRV_INIT;
    autostrv struct strv environment = STRV_INIT;
    struct proc_result result = {.out = BUF_INIT(SOURCE_MAX), .error = BUF_INIT(SOURCE_MAX)};
    struct proc_spec spec = {.timeout_ms = 30 * 1000};
    int status;

    strv_split(&argv, json_str_or(program, "command", ""), ' ');
    if (argv.len == 0)
        return err_set(err, ERR_DENIED, "'credential_source.executable' has no 'command'");
    program_environment(credential, run, &environment);
    spec.argv = (const char *const *)argv.items;
    spec.environ = (const char *const *)environment.items;
    (void)json_i64(program, "timeout_millis", &spec.timeout_ms);
    status = proc_check(run, &spec, &result, err);
    if (status == 0)
        status = from_program_output(run, result.out.data, result.out.len, out, err);
    buf_clear(&result.out);
    buf_clear(&result.error);
    if (status == 0)
        return 0;
    if (err->code != ERR_INTERRUPTED && err->code != ERR_TERMINATED)
        err->code = ERR_DENIED;
    return err_prefix(err, "no subject token from '%s'", argv.items[0]);
}

static int from_program(const struct credential *credential, const cJSON *program,
                        const struct run *run, char **out, struct err *err)
{
    const char *allowed = run_env(run, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES");

    if (allowed == NULL || strcmp(allowed, "1") != 0)
        return err_set(err, ERR_DENIED,
                       "the credential in %s wants to run a program; if that is meant, set "
                       "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1",
                       credential->origin);
    if (from_output_file(run, json_str(program, "output_file"), out))
        return 0;
    return run_program(credential, program, run, out, err);
}

int subject_token(const struct credential *credential, struct http *http, char **out,
                  struct err *err)
{
    const cJSON *source = json_at(credential->json, "credential_source");
    const char *file = json_str(source, "file");
    const char *url = json_str(source, "url");
    const char *variable = json_str(source, "environment_variable");
    const cJSON *program = json_at(source, "executable");

    if (json_str(source, "environment_id") != NULL)
        return err_set(err, ERR_DENIED,
                       "the credential in %s is one for AWS, which is not supported; use one with "
                       "'file', 'url', 'environment_variable' or 'executable'",
                       credential->origin);
    if (file != NULL)
        return from_file(source, file, out, err);
    if (variable != NULL)
        return from_variable(http_run(http), source, variable, out, err);
    if (url != NULL)
        return from_url(source, url, http, out, err);
    if (cJSON_IsObject(program))
        return from_program(credential, program, http_run(http), out, err);
    return err_set(err, ERR_DENIED,
                   "the credential in %s: its 'credential_source' has neither 'file', 'url', "
                   "'environment_variable' nor 'executable'",
                   credential->origin);
}
