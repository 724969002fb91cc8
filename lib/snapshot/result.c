#include "snapshot/phases.h"

void snapshot_result_clear(struct snapshot_result *result)
{
    free(result->url);
    *result = (struct snapshot_result){0};
}

cJSON *snapshot_result_json(const struct snapshot_options *options,
                            const struct snapshot_result *result)
{
    cJSON *json = json_object();
    json_set_str(json, "source", options->source);
    json_set_str(json, "url", result->url);
    json_set_i64_str(json, "generation", result->generation);
    json_set_str(json, "to", options->to);
    json_set_bool(json, "downloaded", result->downloaded);
    json_set_bool(json, "loaded", result->loaded);
    if (result->loaded)
        json_set_str(json, "tag", options->tag);
    json_set_i64(json, "bytes", (int64_t)result->bytes);
    if (result->downloaded) {
        json_set_i64(json, "receivedBytes", (int64_t)result->received);
        json_set_i64(json, "files", (int64_t)result->files);
        json_set_i64(json, "unpackedBytes", (int64_t)result->unpacked_bytes);
        json_set_i64(json, "diskBytes", (int64_t)result->disk_bytes);
    }
    if (result->nodes > 0)
        json_set_i64(json, "nodesReady", result->nodes);
    phases_json(json, result->phases, result->phase_count);
    return json;
}
