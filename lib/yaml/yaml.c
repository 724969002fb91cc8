#include "necoops/yaml/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "yaml/marks.h"
#include "yaml/scalar.h"

#define MAX_DEPTH        100
#define MAX_ALIAS_VALUES 1000000 /* values that aliases may expand to, in one text */

struct yaml_stream {
    cJSON **docs;
    size_t count;
    cJSON *merged; /* values of merge keys: anchors and marks may point into them */
    struct marks marks;
};

struct anchor {
    char *name;
    const cJSON *value; /* NULL while it is being read */
};

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct yaml_stream *stream;
    struct anchor *anchors;
    size_t anchor_count;
    size_t alias_values;
    int depth;
};

static int read_value(struct reader *reader, const yaml_event_t *event, cJSON **out,
                      struct err *err);

static int fail_at(const struct reader *reader, yaml_mark_t mark, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "%s:%zu:%zu: %s", reader->name, mark.line + 1, mark.column + 1,
                   what);
}

static int next_event(struct reader *reader, yaml_event_t *event, struct err *err)
{
    if (yaml_parser_parse(&reader->parser, event))
        return 0;
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "no YAML";
    if (parser->error == YAML_READER_ERROR)
        return err_set(err, ERR_INVALID, "%s: byte %zu: %s", reader->name, parser->problem_offset,
                       problem);
    autofree char *what = parser->context ? xasprintf("%s %s", parser->context, problem)
                                          : xstrdup(problem);
    return fail_at(reader, parser->problem_mark, err, what);
}

static void remember(struct reader *reader, const cJSON *value, yaml_mark_t mark)
{
    marks_put(&reader->stream->marks, value, (int)mark.line + 1, (int)mark.column + 1);
}

static size_t count_values(const cJSON *value)
{
    size_t count = 1;
    const cJSON *child;
    cJSON_ArrayForEach(child, value) count += count_values(child);
    return count;
}

static void set_anchor(struct reader *reader, const yaml_char_t *name, const cJSON *value)
{
    if (!name)
        return;
    for (size_t i = 0; i < reader->anchor_count; i++) {
        if (strcmp(reader->anchors[i].name, (const char *)name) == 0) {
            reader->anchors[i].value = value;
            return;
        }
    }
    reader->anchors =
        xrealloc(reader->anchors, (reader->anchor_count + 1) * sizeof *reader->anchors);
    reader->anchors[reader->anchor_count++] =
        (struct anchor){.name = xstrdup((const char *)name), .value = value};
}

static void clear_anchors(struct reader *reader)
{
    for (size_t i = 0; i < reader->anchor_count; i++)
        free(reader->anchors[i].name);
    free(reader->anchors);
    reader->anchors = NULL;
    reader->anchor_count = 0;
}

static int read_alias(struct reader *reader, const yaml_event_t *event, cJSON **out,
                      struct err *err)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = 0; i < reader->anchor_count; i++) {
        if (strcmp(reader->anchors[i].name, name) != 0)
            continue;
        if (!reader->anchors[i].value)
            return fail_at(reader, event->start_mark, err, "an alias inside its own anchor");
        reader->alias_values += count_values(reader->anchors[i].value);
        if (reader->alias_values > MAX_ALIAS_VALUES)
            return fail_at(reader, event->start_mark, err, "aliases expand to too many values");
        *out = json_copy(reader->anchors[i].value);
        return 0;
    }
    autofree char *what = xasprintf("no anchor '%s'", name);
    return fail_at(reader, event->start_mark, err, what);
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, cJSON **out,
                       struct err *err)
{
    const char *text = (const char *)event->data.scalar.value;
    const char *tag = (const char *)event->data.scalar.tag;
    if (strlen(text) != event->data.scalar.length)
        return fail_at(reader, event->start_mark, err, "a NUL character in a string");
    cJSON *value;
    if (tag && strcmp(tag, "!") != 0)
        value = scalar_with_tag(text, tag);
    else if (event->data.scalar.plain_implicit && !tag)
        value = scalar_resolve(text);
    else
        value = cJSON_CreateString(text);
    if (!value) {
        autofree char *what = xasprintf("'%s' is no value of type %s", text, tag);
        return fail_at(reader, event->start_mark, err, what);
    }
    set_anchor(reader, event->data.scalar.anchor, value);
    *out = value;
    return 0;
}

static int read_sequence(struct reader *reader, const yaml_event_t *start, cJSON **out,
                         struct err *err)
{
    autojson cJSON *array = json_array();
    set_anchor(reader, start->data.sequence_start.anchor, NULL);
    for (;;) {
        yaml_event_t event;
        if (next_event(reader, &event, err) < 0)
            return -1;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        cJSON *item = NULL;
        int result = end ? 0 : read_value(reader, &event, &item, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (end)
            break;
        json_push(array, item);
    }
    set_anchor(reader, start->data.sequence_start.anchor, array);
    *out = steal(array);
    return 0;
}

/* Adds what a merged mapping has and `object` has not. */
static int merge_into(struct reader *reader, cJSON *object, const cJSON *merged, yaml_mark_t mark,
                      struct err *err)
{
    if (cJSON_IsArray(merged)) {
        const cJSON *item;
        cJSON_ArrayForEach(item, merged)
        {
            if (merge_into(reader, object, item, mark, err) < 0)
                return -1;
        }
        return 0;
    }
    if (!cJSON_IsObject(merged))
        return fail_at(reader, mark, err, "a merge key ('<<') wants a mapping");
    const cJSON *member;
    cJSON_ArrayForEach(member, merged)
    {
        if (!cJSON_GetObjectItemCaseSensitive(object, member->string))
            json_set(object, member->string, json_copy(member));
    }
    return 0;
}

static bool is_merge_key(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.plain_implicit &&
           !event->data.scalar.tag && strcmp((const char *)event->data.scalar.value, "<<") == 0;
}

static int read_key(struct reader *reader, const yaml_event_t *event, char **key, struct err *err)
{
    if (event->type != YAML_SCALAR_EVENT)
        return fail_at(reader, event->start_mark, err, "a key must be a scalar");
    autojson cJSON *value = NULL;
    if (read_scalar(reader, event, &value, err) < 0)
        return -1;
    /* A key's value lives no longer than this: an anchor on it would dangle. */
    if (event->data.scalar.anchor)
        return fail_at(reader, event->start_mark, err, "an anchor on a key is not supported");
    *key = scalar_key(value);
    return *key ? 0 : fail_at(reader, event->start_mark, err, "a key must not be null");
}

/* One `key: value`; `key_event` was read. What is behind a `<<` goes to `merges`. */
static int read_member(struct reader *reader, cJSON *object, cJSON *merges,
                       const yaml_event_t *key_event, struct err *err)
{
    yaml_mark_t mark = key_event->start_mark;
    bool merge = is_merge_key(key_event);
    autofree char *key = NULL;
    if (!merge && read_key(reader, key_event, &key, err) < 0)
        return -1;
    if (key && cJSON_GetObjectItemCaseSensitive(object, key)) {
        autofree char *what = xasprintf("the key '%s' is there twice", key);
        return fail_at(reader, mark, err, what);
    }
    yaml_event_t event;
    if (next_event(reader, &event, err) < 0)
        return -1;
    cJSON *value = NULL;
    int result = read_value(reader, &event, &value, err);
    yaml_event_delete(&event);
    if (result < 0)
        return -1;
    if (merge) {
        json_push(merges, value);
        return 0;
    }
    json_set(object, key, value);
    remember(reader, value, mark);
    return 0;
}

static int read_mapping(struct reader *reader, const yaml_event_t *start, cJSON **out,
                        struct err *err)
{
    autojson cJSON *object = json_object();
    cJSON *merges = json_array();
    json_push(reader->stream->merged, merges);
    set_anchor(reader, start->data.mapping_start.anchor, NULL);
    for (;;) {
        yaml_event_t event;
        if (next_event(reader, &event, err) < 0)
            return -1;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        int result = end ? 0 : read_member(reader, object, merges, &event, err);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (end)
            break;
    }
    if (merge_into(reader, object, merges, start->start_mark, err) < 0)
        return -1;
    set_anchor(reader, start->data.mapping_start.anchor, object);
    *out = steal(object);
    return 0;
}

static int read_collection(struct reader *reader, const yaml_event_t *event, cJSON **out,
                           struct err *err)
{
    if (reader->depth == MAX_DEPTH)
        return fail_at(reader, event->start_mark, err, "nested too deeply");
    reader->depth++;
    int result = event->type == YAML_SEQUENCE_START_EVENT ? read_sequence(reader, event, out, err)
                                                          : read_mapping(reader, event, out, err);
    reader->depth--;
    return result;
}

static int read_value(struct reader *reader, const yaml_event_t *event, cJSON **out,
                      struct err *err)
{
    int result;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        result = read_alias(reader, event, out, err);
        break;
    case YAML_SCALAR_EVENT:
        result = read_scalar(reader, event, out, err);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        result = read_collection(reader, event, out, err);
        break;
    default:
        return fail_at(reader, event->start_mark, err, "a value was expected");
    }
    if (result == 0)
        remember(reader, *out, event->start_mark);
    return result;
}

static bool is_empty(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0 &&
           event->data.scalar.plain_implicit;
}

static void add_document(struct yaml_stream *stream, cJSON *value)
{
    stream->docs = xrealloc(stream->docs, (stream->count + 1) * sizeof *stream->docs);
    stream->docs[stream->count++] = value;
}

static int read_documents(struct reader *reader, struct err *err)
{
    for (;;) {
        yaml_event_t event;
        if (next_event(reader, &event, err) < 0)
            return -1;
        yaml_event_type_t type = event.type;
        int result = 0;
        if (type == YAML_DOCUMENT_END_EVENT) {
            clear_anchors(reader);
        } else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                   type != YAML_STREAM_END_EVENT && !is_empty(&event)) {
            cJSON *value = NULL;
            result = read_value(reader, &event, &value, err);
            if (result == 0)
                add_document(reader->stream, value);
        }
        yaml_event_delete(&event);
        if (result < 0 || type == YAML_STREAM_END_EVENT)
            return result;
    }
}

int yaml_parse(const char *text, size_t len, const char *name, struct yaml_stream **out,
               struct err *err)
{
    autoyaml struct yaml_stream *stream = xcalloc(1, sizeof *stream);
    stream->merged = json_array();
    struct reader reader = {.name = name, .stream = stream};
    if (!yaml_parser_initialize(&reader.parser))
        return err_set(err, ERR_FAILED, "%s: out of memory", name);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
    int result = read_documents(&reader, err);
    clear_anchors(&reader);
    yaml_parser_delete(&reader.parser);
    if (result == 0)
        *out = steal(stream);
    return result;
}

void yaml_stream_free(struct yaml_stream *stream)
{
    if (!stream)
        return;
    for (size_t i = 0; i < stream->count; i++)
        cJSON_Delete(stream->docs[i]);
    free(stream->docs);
    cJSON_Delete(stream->merged);
    marks_clear(&stream->marks);
    free(stream);
}

void yaml_freep(struct yaml_stream **stream)
{
    yaml_stream_free(*stream);
}

size_t yaml_count(const struct yaml_stream *stream)
{
    return stream->count;
}

const cJSON *yaml_document(const struct yaml_stream *stream, size_t index)
{
    return index < stream->count ? stream->docs[index] : NULL;
}

cJSON *yaml_take(struct yaml_stream *stream, size_t index)
{
    return index < stream->count ? steal(stream->docs[index]) : NULL;
}

bool yaml_position(const struct yaml_stream *stream, const cJSON *value, int *line, int *column)
{
    const struct mark *mark = marks_get(&stream->marks, value);
    if (!mark)
        return false;
    *line = mark->line;
    *column = mark->column;
    return true;
}

int yaml_parse_one(const char *text, size_t len, const char *name, cJSON **out, struct err *err)
{
    autoyaml struct yaml_stream *stream = NULL;
    if (yaml_parse(text, len, name, &stream, err) < 0)
        return -1;
    if (stream->count != 1)
        return err_set(err, ERR_INVALID, "%s: one document expected, there are %zu", name,
                       stream->count);
    *out = yaml_take(stream, 0);
    return 0;
}
