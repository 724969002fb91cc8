#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/fs.h"
#include "snapshot/note.h"

char *note_boot_id(void)
{
    CLEANUP(err_clear) struct err err = ERR_INIT;
    autobuf struct buf text = BUF_INIT(64);
    if (fs_read("/proc/sys/kernel/random/boot_id", &text, &err) != 0)
        return xstrdup("");
    return xstrndup(text.data, strcspn(text.data, "\n"));
}

static bool is_this_boot(const cJSON *note, const char *key)
{
    autofree char *now = note_boot_id();
    return *now && strcmp(json_str_or(note, key, ""), now) == 0;
}

cJSON *note_new(const char *url, const struct gcs_object *named, const struct strv *files)
{
    cJSON *note = json_object();
    autofree char *boot = note_boot_id();
    struct crc32c_text crc = crc32c_base64(named->crc32c);
    json_set_str(note, "url", url);
    json_set_i64_str(note, "generation", named->generation);
    json_set_str(note, "crc32c", crc.text);
    json_set_str(note, "unpackedInBoot", boot);
    json_set_bool(note, "synced", false);
    cJSON *names = json_set_array(note, "files");
    for (size_t i = 0; i < files->len; i++)
        json_push_str(names, files->items[i]);
    return note;
}

bool note_is(const cJSON *note, const char *url, const struct gcs_object *named)
{
    int64_t generation = 0;
    struct crc32c_text crc = crc32c_base64(named->crc32c);
    return note && strcmp(json_str_or(note, "url", ""), url) == 0 &&
           json_i64(note, "generation", &generation) && generation == named->generation &&
           strcmp(json_str_or(note, "crc32c", ""), crc.text) == 0 &&
           (json_bool(note, "synced", false) || is_this_boot(note, "unpackedInBoot"));
}

bool note_is_loaded(const cJSON *note, const char *tag)
{
    return strcmp(json_str_or(note, "loadedTag", ""), tag) == 0 &&
           is_this_boot(note, "loadedInBoot");
}

void note_set_loaded(cJSON *note, const char *tag)
{
    cJSON_DeleteItemFromObjectCaseSensitive(note, "loadedTag");
    cJSON_DeleteItemFromObjectCaseSensitive(note, "loadedInBoot");
    if (!tag)
        return;
    autofree char *boot = note_boot_id();
    json_set_str(note, "loadedTag", tag);
    json_set_str(note, "loadedInBoot", boot);
}

void note_set_synced(cJSON *note)
{
    json_set_bool(note, "synced", true);
}
