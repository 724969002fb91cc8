/* Fault rules: reading them, and counting what matches; see fault.h for the grammar. */
#include "emulator/core/fault.h"

#include <errno.h>
#include <pthread.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"

struct rule {
    char *text;
    struct strv values; /* key, value, key, value, … */
    const char *listener, *method, *path, *query;
    const char *operation, *zone, *target, *application;
    int64_t first, count; /* the matching requests first … first+count-1 are hit; count 0: all */
    int64_t until_ms;     /* 0: no end */
    struct fault_action action;
    /* under the lock */
    int64_t seen;
    int64_t first_hit; /* monotonic ms, -1 before */
};

struct faults {
    pthread_mutex_t lock;
    struct rule *rules;
    size_t count;
};

/* ---- reading ---- */

static const char *rule_value(const struct rule *rule, const char *key)
{
    for (size_t i = 0; i + 1 < rule->values.len; i += 2) {
        if (strcmp(rule->values.items[i], key) == 0)
            return rule->values.items[i + 1];
    }
    return NULL;
}

/* One "key=value" or "key" up to a comma that is not escaped; returns where it ended. */
static const char *read_pair(const char *p, struct strv *values)
{
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    for (; *p != '\0' && *p != ','; p++) {
        if (p[0] == '\\' && p[1] == ',')
            p++;
        buf_addc(&text, *p);
    }
    char *equals = strchr(text.data, '=');
    if (equals != NULL) {
        strv_take(values, xstrndup(text.data, (size_t)(equals - text.data)));
        strv_add(values, equals + 1);
    } else {
        strv_add(values, text.data);
        strv_add(values, "true");
    }
    return *p == ',' ? p + 1 : p;
}

static int read_number(const struct rule *rule, const char *key, int64_t fallback, int64_t least,
                       int64_t *out, struct err *err)
{
    const char *value = rule_value(rule, key);
    *out = fallback;
    if (value == NULL)
        return 0;
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < least)
        return err_set(err, ERR_USAGE, "fault '%s': '%s' is no value for '%s'", rule->text, value,
                       key);
    *out = number;
    return 0;
}

static int read_duration(const struct rule *rule, const char *key, int64_t *out, struct err *err)
{
    const char *value = rule_value(rule, key);
    *out = 0;
    if (value == NULL)
        return 0;
    if (duration_parse(value, out, err) < 0)
        return err_prefix(err, "fault '%s': '%s'", rule->text, key);
    return 0;
}

static const char *const known_keys[] = {
    "listener", "method",  "path",  "query",  "n",       "count",       "until",  "status",
    "reason",   "message", "body",  "html",   "badjson", "retry-after", "reset",  "close",
    "truncate", "stall",   "delay", "flip",   "after",   "header",      "drop",   "operation",
    "zone",     "target",  "error", "vanish", "down",    "application", "argocd", "pause",
};

static bool known_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(known_keys); i++) {
        if (strcmp(known_keys[i], key) == 0)
            return true;
    }
    return false;
}

static int check_keys(const struct rule *rule, struct err *err)
{
    for (size_t i = 0; i + 1 < rule->values.len; i += 2) {
        const char *key = rule->values.items[i];
        if (known_key(key))
            continue;
        const char *near = text_suggest(key, known_keys, ARRAY_LEN(known_keys));
        return err_set(err, ERR_USAGE, "fault '%s': unknown key '%s'%s%s%s", rule->text, key,
                       near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                       near != NULL ? "'?" : "");
    }
    return 0;
}

struct kind_name {
    const char *key;
    enum fault_kind kind;
};

static const struct kind_name kind_names[] = {
    {"status", FAULT_STATUS}, {"html", FAULT_HTML},     {"badjson", FAULT_BADJSON},
    {"reset", FAULT_RESET},   {"close", FAULT_CLOSE},   {"truncate", FAULT_TRUNCATE},
    {"stall", FAULT_STALL},   {"delay", FAULT_DELAY},   {"flip", FAULT_FLIP},
    {"header", FAULT_HEADER}, {"drop", FAULT_DROP},     {"error", FAULT_OPERATION},
    {"down", FAULT_DOWN},     {"argocd", FAULT_ARGOCD},
};

static int read_kind(struct rule *rule, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++) {
        if (rule_value(rule, kind_names[i].key) == NULL)
            continue;
        if (rule->action.kind != FAULT_NONE)
            return err_set(err, ERR_USAGE, "fault '%s': it says two things to do", rule->text);
        rule->action.kind = kind_names[i].kind;
    }
    if (rule->action.kind == FAULT_NONE)
        return err_set(err, ERR_USAGE,
                       "fault '%s': it does not say what to do (status=503, reset, …)", rule->text);
    if ((rule->action.kind == FAULT_OPERATION) != (rule->operation != NULL))
        return err_set(err, ERR_USAGE, "fault '%s': 'operation' and 'error' go together",
                       rule->text);
    if ((rule->action.kind == FAULT_ARGOCD) != (rule->application != NULL))
        return err_set(err, ERR_USAGE, "fault '%s': 'application' and 'argocd' go together",
                       rule->text);
    return 0;
}

static int read_argocd(struct rule *rule, struct err *err)
{
    static const char *const known[] = {"lose-refresh", "degraded", "restart"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(rule_value(rule, "argocd"), known[i]) == 0)
            return read_duration(rule, "pause", &rule->action.number, err);
    }
    return err_set(err, ERR_USAGE, "fault '%s': Argo CD can lose-refresh, degraded or restart",
                   rule->text);
}

static int read_amount(struct rule *rule, struct err *err)
{
    struct fault_action *action = &rule->action;
    int64_t status = 0;
    switch (action->kind) {
    case FAULT_STATUS:
        if (read_number(rule, "status", 0, 200, &status, err) < 0)
            return -1;
        action->status = (int)status;
        return 0;
    case FAULT_HTML:
        if (strcmp(rule_value(rule, "html"), "true") == 0)
            action->status = 502;
        else if (read_number(rule, "html", 502, 200, &status, err) < 0)
            return -1;
        else
            action->status = (int)status;
        return 0;
    case FAULT_TRUNCATE:
        return read_number(rule, "truncate", 0, 0, &action->number, err);
    case FAULT_FLIP:
        return read_number(rule, "flip", 0, 0, &action->number, err);
    case FAULT_STALL:
        return read_duration(rule, "stall", &action->number, err);
    case FAULT_DELAY:
        return read_duration(rule, "delay", &action->number, err);
    case FAULT_HEADER:
        if (strchr(rule_value(rule, "header"), ':') == NULL)
            return err_set(err, ERR_USAGE, "fault '%s': 'header' wants NAME: VALUE", rule->text);
        return 0;
    case FAULT_DOWN:
        return read_duration(rule, "down", &action->number, err);
    case FAULT_ARGOCD:
        return read_argocd(rule, err);
    default:
        return 0;
    }
}

/* The reason that Google's APIs give with a status. */
static const char *default_reason(int status)
{
    switch (status) {
    case 400:
        return "invalid";
    case 401:
        return "authError";
    case 403:
        return "forbidden";
    case 404:
        return "notFound";
    case 409:
        return "conflict";
    case 412:
        return "conditionNotMet";
    case 429:
        return "rateLimitExceeded";
    case 500:
        return "internalError";
    default:
        return "backendError";
    }
}

static void read_texts(struct rule *rule)
{
    struct fault_action *action = &rule->action;
    const char *reason = rule_value(rule, "reason");
    const char *message = rule_value(rule, "message");
    action->rule = rule->text;
    action->reason = reason != NULL ? reason : default_reason(action->status);
    action->message = message;
    if (message == NULL && action->kind != FAULT_OPERATION)
        action->message = "The service is currently unavailable.";
    action->body = rule_value(rule, "body");
    action->retry_after = rule_value(rule, "retry-after");
    action->header = rule_value(rule, action->kind == FAULT_DROP ? "drop" : "header");
    action->error = rule_value(rule, action->kind == FAULT_ARGOCD ? "argocd" : "error");
    action->vanish = rule_value(rule, "vanish") != NULL;
    action->after = rule_value(rule, "after") != NULL;
}

static int rule_read(struct rule *rule, const char *text, struct err *err)
{
    rule->text = xstrdup(text);
    rule->first_hit = -1;
    for (const char *p = text; *p != '\0';)
        p = read_pair(p, &rule->values);
    rule->listener = rule_value(rule, "listener");
    rule->method = rule_value(rule, "method");
    rule->path = rule_value(rule, "path");
    rule->query = rule_value(rule, "query");
    rule->operation = rule_value(rule, "operation");
    rule->zone = rule_value(rule, "zone");
    rule->target = rule_value(rule, "target");
    rule->application = rule_value(rule, "application");
    if (check_keys(rule, err) < 0 || read_number(rule, "n", 1, 1, &rule->first, err) < 0 ||
        read_number(rule, "count", 1, 0, &rule->count, err) < 0 ||
        read_duration(rule, "until", &rule->until_ms, err) < 0 || read_kind(rule, err) < 0 ||
        read_amount(rule, err) < 0)
        return -1;
    read_texts(rule);
    return 0;
}

int faults_new(const struct strv *rules, struct faults **out, struct err *err)
{
    struct faults *faults = xcalloc(1, sizeof *faults);
    size_t count = rules != NULL ? rules->len : 0;
    pthread_mutex_init(&faults->lock, NULL);
    faults->rules = xcalloc(count > 0 ? count : 1, sizeof *faults->rules);
    for (size_t i = 0; i < count; i++) {
        faults->count++;
        if (rule_read(&faults->rules[i], rules->items[i], err) < 0) {
            faults_free(faults);
            return -1;
        }
    }
    *out = faults;
    return 0;
}

void faults_free(struct faults *faults)
{
    if (faults == NULL)
        return;
    for (size_t i = 0; i < faults->count; i++) {
        free(faults->rules[i].text);
        strv_clear(&faults->rules[i].values);
    }
    free(faults->rules);
    pthread_mutex_destroy(&faults->lock);
    free(faults);
}

/* ---- matching ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool fits(const char *pattern, const char *text)
{
    return pattern == NULL || glob_match(pattern, text);
}

/* Counts one match; true when it is one of those to be hit. */
static bool rule_hit(struct rule *rule)
{
    rule->seen++;
    if (rule->seen < rule->first || (rule->count > 0 && rule->seen >= rule->first + rule->count))
        return false;
    int64_t now = now_ms();
    if (rule->first_hit < 0)
        rule->first_hit = now;
    return rule->until_ms == 0 || now - rule->first_hit < rule->until_ms;
}

bool faults_request(struct faults *faults, const struct fault_subject *subject,
                    struct fault_action *action)
{
    bool hit = false;
    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->count; i++) {
        struct rule *rule = &faults->rules[i];
        if (rule->operation != NULL || rule->application != NULL ||
            !fits(rule->listener, subject->listener) || !fits(rule->method, subject->method) ||
            !fits(rule->path, subject->path) || !fits(rule->query, subject->query))
            continue;
        if (rule_hit(rule) && !hit) {
            *action = rule->action;
            hit = true;
        }
    }
    pthread_mutex_unlock(&faults->lock);
    return hit;
}

bool faults_operation(struct faults *faults, const char *type, const char *zone, const char *target,
                      struct fault_action *action)
{
    bool hit = false;
    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->count; i++) {
        struct rule *rule = &faults->rules[i];
        if (rule->operation == NULL || !fits(rule->operation, type) || !fits(rule->zone, zone) ||
            !fits(rule->target, target))
            continue;
        if (rule_hit(rule) && !hit) {
            *action = rule->action;
            hit = true;
        }
    }
    pthread_mutex_unlock(&faults->lock);
    return hit;
}

bool faults_application(struct faults *faults, const char *application, const char *what,
                        struct fault_action *action)
{
    bool hit = false;
    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < faults->count; i++) {
        struct rule *rule = &faults->rules[i];
        if (rule->application == NULL || strcmp(rule->action.error, what) != 0 ||
            !fits(rule->application, application))
            continue;
        if (rule_hit(rule) && !hit) {
            *action = rule->action;
            hit = true;
        }
    }
    pthread_mutex_unlock(&faults->lock);
    return hit;
}
