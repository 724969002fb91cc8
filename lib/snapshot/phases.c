#include "snapshot/phases.h"

void phases_begin(struct phases *phases, const char *name, const char *text)
{
    phases->start = run_mono_ms(phases->run);
    progress_phase(phases->run->progress, name, "%s", text);
    if (*phases->count < SNAPSHOT_PHASES)
        phases->list[*phases->count].name = name;
}

void phases_end(struct phases *phases)
{
    if (*phases->count < SNAPSHOT_PHASES)
        phases->list[(*phases->count)++].ms = run_mono_ms(phases->run) - phases->start;
}

void phases_json(cJSON *json, const struct snapshot_phase *list, size_t count)
{
    cJSON *phases = json_set_array(json, "phases");
    for (size_t i = 0; i < count; i++) {
        cJSON *phase = json_object();
        json_set_str(phase, "name", list[i].name);
        json_set_i64(phase, "milliseconds", list[i].ms);
        json_push(phases, phase);
    }
}
