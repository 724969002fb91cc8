#include "emulator/kube/protobuf.h"

#include <stdint.h>
#include <string.h>
#include "necoops/base/text.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/core.h"

#define MAGIC "k8s"
#define DEPTH 64

/* ---- the wire ---- */

struct slice {
    const unsigned char *at, *end;
};

struct wire_field {
    unsigned number, type;
    uint64_t value;    /* of a varint or a fixed one */
    struct slice data; /* of what has a length */
};

static bool read_varint(struct slice *from, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && from->at < from->end; shift += 7) {
        unsigned char byte = *from->at++;

        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static bool read_fixed(struct slice *from, size_t len, uint64_t *out)
{
    if ((size_t)(from->end - from->at) < len)
        return false;
    *out = 0;
    for (size_t i = 0; i < len; i++)
        *out |= (uint64_t)*from->at++ << (8 * i);
    return true;
}

static bool read_field(struct slice *from, struct wire_field *field)
{
    uint64_t tag;
    uint64_t len;

    if (!read_varint(from, &tag) || tag >> 3 > UINT32_MAX)
        return false;
    field->number = (unsigned)(tag >> 3);
    field->type = tag & 7;
    switch (field->type) {
    case 0:
        return read_varint(from, &field->value);
    case 1:
        return read_fixed(from, 8, &field->value);
    case 5:
        return read_fixed(from, 4, &field->value);
    case 2:
        if (!read_varint(from, &len) || len > (uint64_t)(from->end - from->at))
            return false;
        field->data = (struct slice){from->at, from->at + len};
        from->at += len;
        return true;
    default:
        return false;
    }
}

static int malformed(struct err *err)
{
    return kube_fail(err, 400, "BadRequest", "the body is no protobuf of this API");
}

static size_t length(const struct slice *data)
{
    return (size_t)(data->end - data->at);
}

static char *text_of(const struct slice *data)
{
    return xstrndup((const char *)data->at, length(data));
}

/* ---- messages ---- */

static int decode(const struct proto_field *fields, struct slice data, cJSON *object, int depth,
                  struct err *err);

static const struct proto_field *find(const struct proto_field *fields, unsigned number)
{
    for (; fields->number != 0; fields++) {
        if (fields->number == number)
            return fields;
    }
    return NULL;
}

/* A message of one known field, as Quantity is; NULL when it is empty. */
static char *only_string(struct slice data)
{
    struct wire_field field;

    while (data.at < data.end && read_field(&data, &field)) {
        if (field.number == 1 && field.type == 2)
            return text_of(&field.data);
    }
    return NULL;
}

/* Key and value of a map's entry. */
static bool map_entry(struct slice data, char **key, struct slice *value)
{
    struct wire_field field;

    *key = NULL;
    *value = (struct slice){data.end, data.end};
    while (data.at < data.end) {
        if (!read_field(&data, &field) || field.type != 2)
            return false;
        if (field.number == 1 && *key == NULL)
            *key = text_of(&field.data);
        else if (field.number == 2)
            *value = field.data;
    }
    return *key != NULL;
}

static int add_map(const struct proto_field *known, struct slice data, cJSON *object,
                   struct err *err)
{
    cJSON *map = json_need_object(object, known->name);
    autofree char *key = NULL;
    autofree char *text = NULL;
    struct slice value;

    if (!map_entry(data, &key, &value))
        return malformed(err);
    if (known->kind == PROTO_MAP_QUANTITY)
        text = only_string(value);
    else if (known->kind == PROTO_MAP_BYTES)
        text = base64_encode(value.at, length(&value));
    else
        text = text_of(&value);
    json_set_str(map, key, text != NULL ? text : "");
    return 0;
}

static void add_int_or_string(const struct proto_field *known, struct slice data, cJSON *object)
{
    struct wire_field field;
    int64_t number = 0;
    bool is_text = false;
    autofree char *text = NULL;

    while (data.at < data.end && read_field(&data, &field)) {
        if (field.number == 1)
            is_text = field.value == 1;
        else if (field.number == 2)
            number = (int64_t)field.value;
        else if (field.number == 3 && field.type == 2 && text == NULL)
            text = text_of(&field.data);
    }
    if (is_text)
        json_set_str(object, known->name, text != NULL ? text : "");
    else if (number != 0 || strcmp(known->name, "targetPort") != 0)
        json_set_i64(object, known->name, number);
}

/* Seconds since 1970; an empty one is none. */
static void add_time(const struct proto_field *known, struct slice data, cJSON *object)
{
    struct wire_field field;

    while (data.at < data.end && read_field(&data, &field)) {
        if (field.number == 1 && field.value < (uint64_t)1 << 40)
            json_set_str(object, known->name, time_rfc3339((int64_t)field.value * 1000).text);
    }
}

static int add_message(const struct proto_field *known, struct slice data, cJSON *object, int depth,
                       struct err *err)
{
    autojson cJSON *message = NULL;

    if (known->kind == PROTO_INLINE)
        return decode(known->message, data, object, depth - 1, err);
    message = json_object();
    if (decode(known->message, data, message, depth - 1, err) < 0)
        return -1;
    if (known->repeated)
        json_push(json_need_array(object, known->name), steal(message));
    else
        json_set(object, known->name, steal(message));
    return 0;
}

static void add_text(const struct proto_field *known, struct slice data, cJSON *object)
{
    autofree char *text = text_of(&data);

    if (known->repeated)
        json_push_str(json_need_array(object, known->name), text);
    else if (text[0] != '\0' || strcmp(known->name, "value") == 0)
        json_set_str(object, known->name, text);
}

static int add_field(const struct proto_field *known, const struct wire_field *field, cJSON *object,
                     int depth, struct err *err)
{
    bool number = known->kind == PROTO_INT || known->kind == PROTO_BOOL;

    if (number != (field->type == 0))
        return malformed(err);
    switch (known->kind) {
    case PROTO_INT:
        if (field->value != 0 || known->keep_zero)
            json_set_i64(object, known->name, (int64_t)field->value);
        return 0;
    case PROTO_BOOL:
        if (field->value != 0 || known->keep_zero)
            json_set_bool(object, known->name, field->value != 0);
        return 0;
    case PROTO_STRING:
        add_text(known, field->data, object);
        return 0;
    case PROTO_INT_OR_STRING:
        add_int_or_string(known, field->data, object);
        return 0;
    case PROTO_TIME:
        add_time(known, field->data, object);
        return 0;
    case PROTO_MAP_STRING:
    case PROTO_MAP_BYTES:
    case PROTO_MAP_QUANTITY:
        return add_map(known, field->data, object, err);
    case PROTO_MESSAGE:
    case PROTO_INLINE:
        return add_message(known, field->data, object, depth, err);
    }
    return malformed(err);
}

static int decode(const struct proto_field *fields, struct slice data, cJSON *object, int depth,
                  struct err *err)
{
    while (data.at < data.end) {
        struct wire_field field;
        const struct proto_field *known;

        if (depth == 0 || !read_field(&data, &field))
            return malformed(err);
        known = find(fields, field.number);
        if (known == NULL)
            return kube_fail(err, 415, "UnsupportedMediaType",
                             "field %u of a message is not known here in its protobuf form; send "
                             "application/json",
                             field.number);
        if (add_field(known, &field, object, depth, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the envelope ---- */

struct envelope {
    char *api_version, *kind;
    struct slice raw;
};

static void envelope_clear(struct envelope *envelope)
{
    free_charp(&envelope->api_version);
    free_charp(&envelope->kind);
}

static bool read_type(struct slice data, struct envelope *envelope)
{
    struct wire_field field;

    while (data.at < data.end) {
        if (!read_field(&data, &field) || field.type != 2)
            return false;
        if (field.number == 1 && envelope->api_version == NULL)
            envelope->api_version = text_of(&field.data);
        else if (field.number == 2 && envelope->kind == NULL)
            envelope->kind = text_of(&field.data);
    }
    return envelope->api_version != NULL && envelope->kind != NULL;
}

static bool read_envelope(struct slice data, struct envelope *envelope)
{
    struct wire_field field;
    bool typed = false;

    if (length(&data) < sizeof(MAGIC) || memcmp(data.at, MAGIC, sizeof(MAGIC)) != 0)
        return false;
    data.at += sizeof(MAGIC);
    while (data.at < data.end) {
        if (!read_field(&data, &field) || field.type != 2)
            return false;
        if (field.number == 1)
            typed = read_type(field.data, envelope);
        else if (field.number == 2)
            envelope->raw = field.data;
    }
    return typed;
}

static const struct proto_field *root_of(const struct envelope *envelope)
{
    autofree char *group = NULL;
    autofree char *version = NULL;

    api_version_split(envelope->api_version, &group, &version);
    for (size_t i = 0; i < proto_roots_len; i++) {
        if (strcmp(proto_roots[i].kind, envelope->kind) == 0 &&
            (proto_roots[i].group == NULL || strcmp(proto_roots[i].group, group) == 0))
            return proto_roots[i].fields;
    }
    return NULL;
}

int protobuf_parse(const char *body, size_t len, cJSON **out, struct err *err)
{
    struct slice data = {(const unsigned char *)body, (const unsigned char *)body + len};
    CLEANUP(envelope_clear) struct envelope envelope = {.raw = {data.end, data.end}};
    autojson cJSON *object = NULL;
    const struct proto_field *fields;

    if (!read_envelope(data, &envelope))
        return malformed(err);
    fields = root_of(&envelope);
    if (fields == NULL)
        return kube_fail(err, 415, "UnsupportedMediaType",
                         "%s in version \"%s\" is not known here in its protobuf form; send "
                         "application/json",
                         envelope.kind, envelope.api_version);
    object = json_object();
    json_set_str(object, "apiVersion", envelope.api_version);
    json_set_str(object, "kind", envelope.kind);
    if (decode(fields, envelope.raw, object, DEPTH, err) < 0)
        return -1;
    *out = steal(object);
    return 0;
}
