/* Small things the nouns share. */
#include "emulator/google/compute/internal.h"

#include <errno.h>
#include <sys/time.h>
#include "necoops/base/digest.h"

int64_t wall_now(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

int64_t mono_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t next_id(struct compute *compute)
{
    compute->last_id += 1 + random_below(100000);
    return compute->last_id;
}

const char *intern(struct compute *compute, const char *name)
{
    for (struct name_list *one = compute->names; one != NULL; one = one->next) {
        if (strcmp(one->name, name) == 0)
            return one->name;
    }
    struct name_list *one = xcalloc(1, sizeof *one);
    one->name = xstrdup(name);
    one->next = compute->names;
    compute->names = one;
    return one->name;
}

const char *last_segment(const char *link)
{
    const char *slash = strrchr(link, '/');
    return slash != NULL ? slash + 1 : link;
}

char *fingerprint_of(const cJSON *value)
{
    autofree char *text = value != NULL ? json_print(value) : xstrdup("");
    struct sha256_hex hash = sha256(text, strlen(text));
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        char pair[3] = {hash.text[2 * i], hash.text[2 * i + 1], '\0'};
        bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return base64_encode(bytes, sizeof bytes);
}

void set_id(cJSON *object, const char *key, uint64_t id)
{
    autofree char *text = xasprintf("%llu", (unsigned long long)id);
    json_set_str(object, key, text);
}

void set_time(cJSON *object, const char *key, int64_t wall_ms)
{
    json_set_str(object, key, time_rfc3339_ms(wall_ms).text);
}

void set_link(cJSON *object, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *path = xvasprintf(format, args);
    va_end(args);
    autofree char *link = xasprintf(SELF_LINK "%s", path);
    json_set_str(object, key, link);
}

bool valid_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 63 || name[0] < 'a' || name[0] > 'z' || name[len - 1] == '-')
        return false;
    for (const char *p = name; *p != '\0'; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
            return false;
    }
    return true;
}

bool parse_id(const char *text, uint64_t *id)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *id = value;
    return errno == 0 && *end == '\0';
}

int not_found(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    autofree char *resource = xvasprintf(format, args);
    va_end(args);
    return google_error(answer, 404, "notFound", "The resource '%s' was not found", resource);
}

int invalid_value(struct answer *answer, const char *field, const char *value, const char *format,
                  ...)
{
    va_list args;
    va_start(args, format);
    autofree char *text = xvasprintf(format, args);
    va_end(args);
    return google_error(answer, 400, "invalid", "Invalid value for field '%s': '%s'. %s", field,
                        value, text);
}
