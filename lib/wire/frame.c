/* Frames on the serial port: written, found again, told apart from everything else. */
#include "necoops/wire/wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "necoops/base/digest.h"
#include "necoops/base/text.h"

#define MARK "@necoops "

void wire_writer_init(struct wire_writer *writer)
{
    unsigned char bytes[8];
    random_bytes(bytes, sizeof bytes);
    autofree char *hex = hex_encode(bytes, sizeof bytes);
    *writer = (struct wire_writer){.number = 0};
    text_copy(writer->session, sizeof writer->session, hex);
}

/* The code point at `at`, whose text is valid UTF-8 (JSON that we printed ourselves). */
static uint32_t decode(const unsigned char *at, size_t *len)
{
    uint32_t code = at[0];
    *len = code < 0x80 ? 1 : code < 0xe0 ? 2 : code < 0xf0 ? 3 : 4;
    if (*len > 1)
        code &= 0xffu >> (*len + 1);
    for (size_t i = 1; i < *len; i++)
        code = code << 6 | (at[i] & 0x3fu);
    return code;
}

/* JSON in printable ASCII: a serial port may turn other bytes into anything. */
static void add_ascii(struct buf *out, const char *json)
{
    const unsigned char *at = (const unsigned char *)json;
    while (*at) {
        size_t len;
        uint32_t code = decode(at, &len);
        if (code < 0x7f)
            buf_addc(out, (char)code);
        else if (code < 0x10000)
            buf_addf(out, "\\u%04" PRIx32, code);
        else
            buf_addf(out, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + ((code - 0x10000) >> 10),
                     0xdc00 + ((code - 0x10000) & 0x3ff));
        at += len;
    }
}

int wire_frame(struct wire_writer *writer, const cJSON *object, struct buf *out)
{
    autobuf struct buf body = BUF_INIT(WIRE_LINE_MAX - 64);
    autofree char *json = json_print(object);
    buf_addf(&body, "%s %" PRIu64 " ", writer->session, writer->number + 1);
    size_t head = body.len;
    add_ascii(&body, json);
    if (body.overflowed)
        return -1;
    uint32_t crc = crc32c(0, body.data, body.len);
    writer->number++;
    return buf_addf(out, "\n" MARK "%.*s%08" PRIx32 " %s\n", (int)head, body.data, crc,
                    body.data + head);
}

/* ---- reading ---- */

void wire_reader_init(struct wire_reader *reader)
{
    *reader = (struct wire_reader){.skipping = false};
    buf_init(&reader->line, WIRE_LINE_MAX);
}

void wire_reader_clear(struct wire_reader *reader)
{
    buf_clear(&reader->line);
}

void wire_reader_gap(struct wire_reader *reader)
{
    buf_reset(&reader->line);
    reader->skipping = true;
}

struct frame {
    char session[17];
    uint64_t number;
    cJSON *object;
};

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

/* "SESSION NUMBER CRC JSON"; false when any of it is not right. */
static bool parse_frame(const char *text, struct frame *out)
{
    if (strlen(text) < 28 || !is_hex(text, 16) || text[16] != ' ')
        return false;
    char *end;
    uint64_t number = strtoull(text + 17, &end, 10);
    if (text[17] < '0' || text[17] > '9' || *end != ' ' || !is_hex(end + 1, 8) || end[9] != ' ')
        return false;
    uint32_t said = (uint32_t)strtoul(end + 1, NULL, 16);
    const char *json = end + 10;
    uint32_t crc = crc32c(0, text, (size_t)(end + 1 - text));
    if (crc32c(crc, json, strlen(json)) != said)
        return false;
    autoerr struct err ignored = ERR_INIT;
    if (json_parse(json, strlen(json), "frame", &out->object, &ignored) < 0)
        return false;
    memcpy(out->session, text, 16);
    out->session[16] = '\0';
    out->number = number;
    return true;
}

/* Where it stands among the others. */
static void count(struct wire_reader *reader, const struct frame *frame)
{
    if (reader->session[0] && strcmp(reader->session, frame->session) != 0)
        reader->restarts++;
    else if (reader->session[0] && frame->number > reader->number)
        reader->missing += frame->number - reader->number - 1;
    memcpy(reader->session, frame->session, sizeof reader->session);
    reader->number = frame->number;
}

typedef int each_frame(void *arg, const struct wire_reader *reader, const cJSON *frame,
                       struct err *err);

static int take_line(struct wire_reader *reader, each_frame *each, void *arg, struct err *err)
{
    char *line = reader->line.data;
    size_t len = strlen(line);
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
        line[--len] = '\0';
    if (len == 0)
        return 0;
    if (!text_starts(line, MARK)) {
        reader->foreign++;
        return 0;
    }
    struct frame frame = {.object = NULL};
    if (!parse_frame(line + strlen(MARK), &frame)) {
        reader->damaged++;
        return 0;
    }
    autojson cJSON *object = frame.object;
    count(reader, &frame);
    return each(arg, reader, object, err);
}

int wire_read(struct wire_reader *reader, const char *text, size_t len, each_frame *each, void *arg,
              struct err *err)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t part = end ? (size_t)(end - text) : len;
        if (!reader->skipping && buf_add(&reader->line, text, part) < 0)
            reader->skipping = true;
        text += end ? part + 1 : part;
        len -= end ? part + 1 : part;
        if (!end)
            break;
        bool whole = !reader->skipping;
        reader->skipping = false;
        int status = whole ? take_line(reader, each, arg, err) : 0;
        buf_reset(&reader->line);
        if (status < 0)
            return -1;
    }
    return 0;
}
