#include "necoops/instance/phase.h"

#include <string.h>
#include "necoops/base/json.h"
#include "necoops/base/text.h"

static const char *const names[] = {"none", "boot", "setup", "snapshot", "ready", "failed"};

const char *phase_name(enum phase phase)
{
    return names[phase];
}

int phase_parse(const char *json, struct phase_report *out, struct err *err)
{
    autojson cJSON *value = NULL;
    if (json_parse(json, strlen(json), "phase", &value, err) < 0)
        return -1;
    const char *name = json_str_or(value, "phase", "");
    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (struct phase_report){.phase = (enum phase)i};
        text_copy(out->message, sizeof out->message, json_str_or(value, "message", ""));
        text_copy(out->time, sizeof out->time, json_str_or(value, "time", ""));
        text_copy(out->boot_id, sizeof out->boot_id, json_str_or(value, "bootId", ""));
        return 0;
    }
    return err_set(err, ERR_PROTOCOL, "the instance reports an unknown phase '%s'", name);
}

static bool parse_line(const char *line, size_t len, struct phase_report *out)
{
    const char *marker = memmem(line, len, PHASE_MARKER, strlen(PHASE_MARKER));
    if (!marker)
        return false;
    autoerr struct err err = ERR_INIT;
    const char *json = marker + strlen(PHASE_MARKER);
    autofree char *text = xstrndup(json, len - (size_t)(json - line));
    text[strcspn(text, "\r")] = '\0';
    return phase_parse(text, out, &err) == 0;
}

bool phase_next(const struct buf *console, size_t *from, struct phase_report *out)
{
    while (*from < console->len) {
        const char *line = console->data + *from;
        const char *end = memchr(line, '\n', console->len - *from);
        if (!end)
            break;
        *from += (size_t)(end - line) + 1;
        if (parse_line(line, (size_t)(end - line), out))
            return true;
    }
    return false;
}

bool phase_from_console(const struct buf *console, size_t *from, struct phase_report *out)
{
    bool found = false;
    while (phase_next(console, from, out))
        found = true;
    return found;
}
